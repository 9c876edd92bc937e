//! What is taken however it is spelled, and what is not. Laid over a deserializer, this reads whole numbers that are written
//! as floats (`2.0`, `2e0`), as JSON knows one kind of number only; and structs from objects alone: serde takes an array for
//! a struct too, field by field in order, and then no name is checked (`"environment": ["contended"]` would pass for an
//! environment).

use std::fmt;

use serde::{
    Deserializer,
    de::{
        DeserializeSeed, EnumAccess, Error, IntoDeserializer as _, MapAccess, SeqAccess, Unexpected,
        VariantAccess, Visitor, value::MapAccessDeserializer,
    },
};

/// Something of serde's (a deserializer, what it gives access to, or a seed), and all that is in it, however deep. What serde
/// buffers before it reads it (flattened fields, untagged enums) is not seen.
pub(crate) struct Lenient<T> {
    pub(crate) inner: T,
    /// Whether all values are text, as in a query string.
    pub(crate) text: bool,
}

/// A visitor of a value.
struct Value<V> {
    visitor: V,
    wanted: Wanted,
    text: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Object,
    Whole,
    Float,
    Flag,
    Other,
}

/// The largest number up to which floats hold every whole one (RFC 8259, section 6).
const MAX_SAFE: f64 = 9_007_199_254_740_991.0;

macro_rules! deserialize {
    ($($method:ident($($name:ident: $kind:ty),*) $wanted:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, $($name: $kind,)* visitor: V) -> Result<V::Value, D::Error> {
            let value = Value { visitor, wanted: Wanted::$wanted, text: self.text };
            match Wanted::$wanted {
                Wanted::Whole | Wanted::Float | Wanted::Flag if self.text => self.inner.deserialize_any(value),
                _ => self.inner.$method($($name,)* value),
            }
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Lenient<D> {
    type Error = D::Error;

    deserialize! {
        deserialize_any() Other
        deserialize_bool() Flag
        deserialize_i8() Whole deserialize_i16() Whole deserialize_i32() Whole deserialize_i64() Whole deserialize_i128() Whole
        deserialize_u8() Whole deserialize_u16() Whole deserialize_u32() Whole deserialize_u64() Whole deserialize_u128() Whole
        deserialize_f32() Float deserialize_f64() Float
        deserialize_char() Other deserialize_str() Other deserialize_string() Other
        deserialize_bytes() Other deserialize_byte_buf() Other deserialize_option() Other deserialize_unit() Other
        deserialize_unit_struct(name: &'static str) Other deserialize_newtype_struct(name: &'static str) Other
        deserialize_seq() Other deserialize_tuple(len: usize) Other
        deserialize_tuple_struct(name: &'static str, len: usize) Other
        deserialize_map() Other deserialize_identifier() Other deserialize_ignored_any() Other
        deserialize_struct(name: &'static str, fields: &'static [&'static str]) Object
    }

    /// As any value: serde_json itself takes an enum that is neither a string nor an object for a fault of the syntax.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let Self { inner, text } = self;
        inner.deserialize_any(Variant { visitor, variants, text })
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

macro_rules! visit {
    ($($method:ident($kind:ty))*) => {$(
        fn $method<E: Error>(self, value: $kind) -> Result<V::Value, E> {
            self.visitor.$method(value)
        }
    )*};
}

macro_rules! visit_text {
    ($($method:ident($kind:ty))*) => {$(
        fn $method<E: Error>(self, value: $kind) -> Result<V::Value, E> {
            match self.wanted {
                Wanted::Whole | Wanted::Float | Wanted::Flag if self.text => self.visit_spelled(&value),
                _ => self.visitor.$method(value),
            }
        }
    )*};
}

impl<V> Value<V> {
    /// A number or a truth value that is written as text.
    fn visit_spelled<'de, E: Error>(self, text: &str) -> Result<V::Value, E>
    where
        V: Visitor<'de>,
    {
        let is_number = text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
        let number = || text.parse::<f64>().ok().filter(|number| is_number && number.is_finite());
        match self.wanted {
            Wanted::Flag => text
                .parse()
                .map_or_else(|_| Err(found(text, "true or false")), |is| self.visitor.visit_bool(is)),
            Wanted::Float => match number() {
                Some(number) => self.visitor.visit_f64(number),
                None => Err(found(text, "a number")),
            },
            _ => match (text.parse::<u64>(), text.parse::<i64>(), number().and_then(whole)) {
                (Ok(number), _, _) if is_number => self.visitor.visit_u64(number),
                (_, Ok(number), _) if is_number => self.visitor.visit_i64(number),
                (_, _, Some(number)) => self.visitor.visit_i64(number),
                _ => Err(found(text, "a whole number")),
            },
        }
    }
}

fn found<E: Error>(text: &str, expected: &str) -> E {
    E::custom(format!("expected {expected}, found `{text}`"))
}

/// The whole number that a float is, where it can be only one.
#[must_use]
pub fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() <= MAX_SAFE).then_some(number as i64)
}

/// A number that is written as text, also a whole one as a float.
#[must_use]
pub fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.parse().ok().or_else(|| whole(text.parse().ok()?)?.to_string().parse().ok())
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Value<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    visit! {
        visit_bool(bool) visit_i8(i8) visit_i16(i16) visit_i32(i32) visit_i64(i64) visit_i128(i128) visit_u8(u8)
        visit_u16(u16) visit_u32(u32) visit_u64(u64) visit_u128(u128) visit_f32(f32) visit_char(char)
        visit_bytes(&[u8]) visit_borrowed_bytes(&'de [u8]) visit_byte_buf(Vec<u8>)
    }

    visit_text! { visit_str(&str) visit_borrowed_str(&'de str) visit_string(String) }

    fn visit_f64<E: Error>(self, value: f64) -> Result<V::Value, E> {
        // A value of any kind stays as it is: whoever reads it later knows what it is.
        match whole(value).filter(|_| self.wanted == Wanted::Whole) {
            // As a parser gives it: unsigned, but for what is below 0.
            Some(number) => match u64::try_from(number) {
                Ok(number) => self.visitor.visit_u64(number),
                Err(_) => self.visitor.visit_i64(number),
            },
            None => self.visitor.visit_f64(value),
        }
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_some(Lenient { inner: deserializer, text: self.text })
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_newtype_struct(Lenient { inner: deserializer, text: self.text })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        if self.wanted == Wanted::Object {
            return Err(A::Error::custom("expected a JSON object, found an array"));
        }
        self.visitor.visit_seq(Lenient { inner: access, text: self.text })
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(Lenient { inner: access, text: self.text })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_enum(Lenient { inner: access, text: self.text })
    }
}

/// A visitor of an enum.
struct Variant<V> {
    visitor: V,
    variants: &'static [&'static str],
    text: bool,
}

impl<V> Variant<V> {
    fn refuse<T, E: Error>(self, found: Unexpected<'_>) -> Result<T, E> {
        let names = self.variants.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        Err(E::invalid_type(found, &format!("one of {names}").as_str()))
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Variant<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<V::Value, E> {
        self.visitor.visit_enum(value.into_deserializer())
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_enum(Lenient { inner: MapAccessDeserializer::new(access), text: self.text })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_enum(Lenient { inner: access, text: self.text })
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<V::Value, E> {
        self.refuse(Unexpected::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<V::Value, E> {
        self.refuse(Unexpected::Signed(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<V::Value, E> {
        self.refuse(Unexpected::Unsigned(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<V::Value, E> {
        self.refuse(Unexpected::Float(value))
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.refuse(Unexpected::Unit)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<V::Value, A::Error> {
        self.refuse(Unexpected::Seq)
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Lenient<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.inner.deserialize(Lenient { inner: deserializer, text: self.text })
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Lenient<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.inner.next_element_seed(Lenient { inner: seed, text: self.text })
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Lenient<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.inner.next_key_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.next_value_seed(Lenient { inner: seed, text: self.text })
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for Lenient<A> {
    type Error = A::Error;
    type Variant = Lenient<A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), A::Error> {
        let Self { inner, text } = self;
        inner.variant_seed(seed).map(|(value, inner)| (value, Lenient { inner, text }))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Lenient<A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.newtype_variant_seed(Lenient { inner: seed, text: self.text })
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.inner.tuple_variant(len, Value { visitor, wanted: Wanted::Other, text: self.text })
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.inner.struct_variant(fields, Value { visitor, wanted: Wanted::Object, text: self.text })
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::value::RawValue;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Point {
        #[expect(dead_code, reason = "only read")]
        x: u8,
    }

    #[derive(Debug, Deserialize)]
    enum Shape {
        Dot,
        Circle(#[expect(dead_code, reason = "only read")] Point),
        Box {
            #[expect(dead_code, reason = "only read")]
            corner: (u8, u8),
        },
    }

    fn read<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, String> {
        T::deserialize(Lenient { inner: &mut serde_json::Deserializer::from_str(text), text: false })
            .map_err(|error| error.to_string())
    }

    #[test]
    fn an_array_is_not_taken_for_an_object_at_any_depth() {
        let refused = "expected a JSON object, found an array";
        assert!(read::<Point>("[1]").unwrap_err().contains(refused));
        assert!(read::<Vec<Point>>(r#"[{"x": 1}, [1]]"#).unwrap_err().contains(refused));
        assert!(read::<Option<Point>>("[1]").unwrap_err().contains(refused));
        assert!(
            read::<std::collections::BTreeMap<String, Point>>(r#"{"a": [1]}"#).unwrap_err().contains(refused)
        );
        assert!(read::<Shape>(r#"{"Circle": [1]}"#).unwrap_err().contains(refused));
        assert!(read::<Shape>(r#"{"Box": [[1, 2]]}"#).is_err());
    }

    #[test]
    fn a_whole_number_may_be_written_as_a_float_where_it_can_be_only_one() {
        for (text, number) in
            [("2.0", 2), ("2e0", 2), ("20E-1", 2), ("1e3", 1000), ("0.0", 0), ("-0.0", 0), ("2", 2)]
        {
            assert_eq!(read::<u32>(text), Ok(number), "{text}");
            assert_eq!(
                read::<Vec<Option<u32>>>(&format!("[{text}, null]")),
                Ok(vec![Some(number), None]),
                "{text}"
            );
        }
        assert_eq!(read::<i8>("-128.0"), Ok(-128));
        assert_eq!(read::<u64>("9007199254740991.0"), Ok(9_007_199_254_740_991));
        for wrong in ["2.5", "1e-1", "-1.0", "4294967296.0", "1e300"] {
            assert!(read::<u32>(wrong).is_err(), "{wrong}");
        }
        // the float nearest to it is another number
        assert!(read::<u64>("9007199254740993.0").is_err());
        assert_eq!(read::<f64>("2.0"), Ok(2.0));
        assert_eq!(read::<f64>("2"), Ok(2.0));
        assert_eq!(read::<serde_json::Value>("[2.0,-0.0]").unwrap().to_string(), "[2.0,-0.0]");
    }

    #[test]
    fn a_number_is_read_from_text_where_all_is_text() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Page {
            limit: Option<u32>,
            from: Option<i64>,
            share: Option<f64>,
            all: Option<bool>,
            name: Option<String>,
        }
        let read = |query: &str| {
            let inner = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
            Page::deserialize(Lenient { inner, text: true }).map_err(|error| error.to_string())
        };
        let page = |limit| Page { limit, from: None, share: None, all: None, name: None };
        for two in ["limit=2", "limit=2.0", "limit=2e0"] {
            assert_eq!(read(two), Ok(page(Some(2))), "{two}");
        }
        let all = read("from=-5.0&share=2&all=true&name=2.0").unwrap();
        assert_eq!(
            (all.from, all.share, all.all, all.name.as_deref()),
            (Some(-5), Some(2.0), Some(true), Some("2.0"))
        );
        for (wrong, expected) in [
            ("limit=2.5", "expected a whole number, found `2.5`"),
            ("limit=many", "expected a whole number, found `many`"),
            ("limit=", "expected a whole number, found ``"),
            ("share=NaN", "expected a number, found `NaN`"),
            ("all=yes", "expected true or false, found `yes`"),
        ] {
            assert_eq!(read(wrong).unwrap_err(), expected, "{wrong}");
        }
        assert!(read("limit=-1").unwrap_err().contains("-1"));
    }

    #[test]
    fn a_cell_of_a_table_is_a_number_as_others_write_it() {
        for two in ["2", "2.0", "2e0", "2.00"] {
            assert_eq!(number::<u32>(two), Some(2), "{two}");
            assert_eq!(number::<f64>(two), Some(2.0), "{two}");
        }
        for wrong in ["", "2.5", "-1", "x", "nan", "4294967296.0"] {
            assert_eq!(number::<u32>(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_enum_that_is_no_string_is_told_what_it_may_be() {
        for wrong in ["5", "null", "[]", "true", "2.5"] {
            let error = read::<Shape>(wrong).unwrap_err();
            assert!(error.contains("one of `Dot`, `Circle`, `Box`"), "{error}");
        }
        assert!(read::<Shape>(r#"{"Circle": {"x": 1.0}, "Dot": null}"#).is_err());
        assert!(matches!(read(r#"{"Circle": {"x": 1.0}}"#), Ok(Shape::Circle(_))));
    }

    #[test]
    fn all_else_is_read_as_ever() {
        assert!(read::<Vec<Point>>(r#"[{"x": 1}]"#).is_ok());
        assert!(read::<Option<Point>>("null").unwrap().is_none());
        assert!(matches!(read(r#""Dot""#), Ok(Shape::Dot)));
        assert!(matches!(read(r#"{"Circle": {"x": 1}}"#), Ok(Shape::Circle(_))));
        assert!(matches!(read(r#"{"Box": {"corner": [1, 2]}}"#), Ok(Shape::Box { .. })));
        assert_eq!(read::<&RawValue>("[1,  2]").unwrap().get(), "[1,  2]");
        assert_eq!(read::<serde_json::Value>("[[1]]").unwrap()[0][0], 1);
    }
}
