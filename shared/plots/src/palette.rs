//! Colours that the colour-blind can tell apart, and what each stands for.

use plotters::style::RGBColor;

/// The palette of Okabe and Ito, "Color Universal Design" (2008), without its yellow, which is hard to
/// see on white, and with a grey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// #000000
    Black,
    /// #E69F00
    Orange,
    /// #56B4E9
    SkyBlue,
    /// #009E73
    Green,
    /// #0072B2
    Blue,
    /// #D55E00
    Vermillion,
    /// #CC79A7
    Purple,
    /// #737373, as dark as small text on white must be (WCAG 2.2, 1.4.3)
    Grey,
}

/// The part that a policy has in a comparison. Each has a colour and a shape of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// It was trained.
    Learned,
    /// A learner that was never trained.
    Untrained,
    /// All are compared with it.
    Baseline,
    /// The best hand rule.
    BestRule,
    /// Another hand rule.
    Rule,
    /// A rule that is told what is hidden from the others.
    Informed,
    /// What no policy can do better.
    Limit,
}

/// The colours of a figure from its lowest to its highest value: the darker half of matplotlib's `plasma`, whose lightness
/// grows evenly, so that the colour-blind and a printer in grey keep the order. Its yellow end cannot be seen on white.
const SEQUENCE: [[f64; 3]; 5] = [
    [13.0, 8.0, 135.0],
    [106.0, 0.0, 168.0],
    [177.0, 42.0, 144.0],
    [225.0, 100.0, 98.0],
    [248.0, 149.0, 64.0],
];

/// The colour at this place between the lowest (0) and the highest (1).
pub(crate) fn sequential(place: f64) -> RGBColor {
    let at = place.clamp(0.0, 1.0) * (SEQUENCE.len() - 1) as f64;
    let below = (at as usize).min(SEQUENCE.len() - 2);
    let part = at - below as f64;
    let [r, g, b] = std::array::from_fn(|i| {
        let (from, to) = (SEQUENCE[below][i], SEQUENCE[below + 1][i]);
        (from + (to - from) * part).round() as u8
    });
    RGBColor(r, g, b)
}

impl Colour {
    pub(crate) fn rgb(self) -> RGBColor {
        match self {
            Self::Black => RGBColor(0, 0, 0),
            Self::Orange => RGBColor(0xE6, 0x9F, 0x00),
            Self::SkyBlue => RGBColor(0x56, 0xB4, 0xE9),
            Self::Green => RGBColor(0x00, 0x9E, 0x73),
            Self::Blue => RGBColor(0x00, 0x72, 0xB2),
            Self::Vermillion => RGBColor(0xD5, 0x5E, 0x00),
            Self::Purple => RGBColor(0xCC, 0x79, 0xA7),
            Self::Grey => RGBColor(0x73, 0x73, 0x73),
        }
    }

    /// As dark as a text must be to be read on white.
    pub(crate) fn ink(self) -> RGBColor {
        match self {
            Self::Orange => RGBColor(0x9A, 0x6A, 0x00),
            Self::SkyBlue => RGBColor(0x1F, 0x7A, 0xAD),
            Self::Green => RGBColor(0x00, 0x7A, 0x59),
            Self::Vermillion => RGBColor(0xB8, 0x4F, 0x00),
            Self::Purple => RGBColor(0xA8, 0x4F, 0x80),
            Self::Black | Self::Blue | Self::Grey => self.rgb(),
        }
    }
}

impl Role {
    #[must_use]
    pub fn colour(self) -> Colour {
        match self {
            Self::Learned => Colour::Blue,
            Self::Untrained => Colour::SkyBlue,
            Self::Baseline => Colour::Black,
            Self::BestRule => Colour::Vermillion,
            Self::Rule => Colour::Grey,
            Self::Informed => Colour::Purple,
            Self::Limit => Colour::Green,
        }
    }

    /// Its name in legends.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Learned => "learned",
            Self::Untrained => "never trained",
            Self::Baseline => "baseline",
            Self::BestRule => "best hand rule",
            Self::Rule => "other hand rule",
            Self::Informed => "told what is hidden",
            Self::Limit => "physical limit",
        }
    }
}
