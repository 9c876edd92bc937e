//! A run's windows in the ledger: with each checkpoint those since the one before, as compressed CSV in an artifact that
//! the checkpoint's record names. Numbers are written so that they come back exactly.

use std::io::{Read as _, Write as _};

use api::trainer::WindowMetrics;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};

/// The artifact's type.
pub const MEDIA_TYPE: &str = "application/gzip";

/// The windows as an artifact: the same ones always give the same bytes.
///
/// # Errors
/// None that is known: rows of numbers go into memory.
pub fn encode(windows: &[WindowMetrics]) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for window in windows {
        writer.serialize(window)?;
    }
    let rows = writer.into_inner().map_err(|error| error.into_error())?;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&rows)?;
    Ok(encoder.finish()?)
}

/// The windows of an artifact.
///
/// # Errors
/// When the artifact is something else.
pub fn decode(artifact: &[u8]) -> Result<Vec<WindowMetrics>, csv::Error> {
    let mut rows = Vec::new();
    GzDecoder::new(artifact).take(MOST_BYTES).read_to_end(&mut rows)?;
    csv::Reader::from_reader(rows.as_slice()).deserialize().collect()
}

/// As many windows as one part can have are shorter: whatever unpacks to more is none.
const MOST_BYTES: u64 = 1 << 26;

#[cfg(test)]
mod tests {
    use super::*;

    fn window(number: u64) -> WindowMetrics {
        let figure = (!number.is_multiple_of(3)).then_some(0.1 + 0.2 * number as f64);
        WindowMetrics {
            window: number,
            episode: 1,
            step: number as u32,
            requests: number * 7,
            avg_reward: figure.map(|figure| -figure),
            seed_reward: None,
            fill_rate: figure.map(|figure| figure.fract()),
            gpu_hours_fill: Some(1.0),
            avg_cost_usd: Some(1e-300),
            avg_latency_ms: Some(123_456_789.012_345_67),
            psi: figure.map(f64::sqrt),
            continuity: Some(-0.0),
            prediction_error: None,
            interventions: 2,
        }
    }

    #[test]
    fn windows_come_back_exactly_and_the_same_ones_are_the_same_bytes() {
        let windows: Vec<_> = (5..1200).map(window).collect();
        let artifact = encode(&windows).unwrap();
        assert_eq!(decode(&artifact).unwrap(), windows);
        assert_eq!(encode(&windows).unwrap(), artifact);
        assert_eq!(decode(&encode(&[]).unwrap()).unwrap(), []);
    }

    #[test]
    fn what_is_no_such_artifact_is_refused() {
        assert!(decode(b"window,episode\n1,2\n").is_err());
        let mut cut = encode(&[window(1)]).unwrap();
        cut.truncate(cut.len() - 9);
        assert!(decode(&cut).is_err());
    }
}
