use std::borrow::Cow;

use serde::ser::{self, Serialize};

use super::{CanonicalError, MAX_SAFE_INTEGER};

/// How `serde_json` marks JSON that is already text.
const RAW_VALUE: &str = "$serde_json::private::RawValue";

type Result<T> = std::result::Result<T, CanonicalError>;

/// Writes canonical JSON at the end of `out`.
pub(super) struct Serializer<'o> {
    out: &'o mut Vec<u8>,
}

impl<'o> Serializer<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>) -> Self {
        Self { out }
    }

    fn text(&mut self, text: &str) -> Result<()> {
        // serde_json escapes exactly what RFC 8785, 3.2.2.2 asks for, in the same spelling.
        serde_json::to_writer(&mut *self.out, text).map_err(|error| CanonicalError::new(error.to_string()))
    }

    fn unsigned(&mut self, number: u128) -> Result<()> {
        if number > u128::from(MAX_SAFE_INTEGER) {
            return Err(unsafe_integer(number));
        }
        self.out.extend_from_slice(itoa::Buffer::new().format(number as u64).as_bytes());
        Ok(())
    }

    fn signed(&mut self, number: i128) -> Result<()> {
        if number.unsigned_abs() > u128::from(MAX_SAFE_INTEGER) {
            return Err(unsafe_integer(number));
        }
        self.out.extend_from_slice(itoa::Buffer::new().format(number as i64).as_bytes());
        Ok(())
    }

    fn double(&mut self, number: f64) -> Result<()> {
        if !number.is_finite() {
            return Err(CanonicalError::new(format!("expected a finite number, got {number}")));
        }
        // RFC 8785, 3.2.2.3: as ECMAScript writes numbers.
        self.out.extend_from_slice(ryu_js::Buffer::new().format_finite(number).as_bytes());
        Ok(())
    }

    fn object(&mut self, members: usize) -> Object<'_, 'o> {
        let start = self.out.len();
        Object {
            serializer: self,
            start,
            members: Vec::with_capacity(members),
            sorted: true,
            key: None,
            tail: b"",
        }
    }

    fn array(&mut self, tail: &'static [u8]) -> Array<'_, 'o> {
        self.out.push(b'[');
        Array { serializer: self, index: 0, variant: None, tail }
    }

    /// Opens `{"variant":`; whoever calls it closes the brace.
    fn variant(&mut self, variant: &'static str) -> Result<()> {
        self.out.push(b'{');
        self.text(variant)?;
        self.out.push(b':');
        Ok(())
    }
}

impl<'s, 'o> ser::Serializer for &'s mut Serializer<'o> {
    type Ok = ();
    type Error = CanonicalError;
    type SerializeSeq = Array<'s, 'o>;
    type SerializeTuple = Array<'s, 'o>;
    type SerializeTupleStruct = Array<'s, 'o>;
    type SerializeTupleVariant = Array<'s, 'o>;
    type SerializeMap = Object<'s, 'o>;
    type SerializeStruct = Object<'s, 'o>;
    type SerializeStructVariant = Object<'s, 'o>;

    fn serialize_bool(self, value: bool) -> Result<()> {
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
        Ok(())
    }
    fn serialize_i8(self, value: i8) -> Result<()> {
        self.signed(value.into())
    }
    fn serialize_i16(self, value: i16) -> Result<()> {
        self.signed(value.into())
    }
    fn serialize_i32(self, value: i32) -> Result<()> {
        self.signed(value.into())
    }
    fn serialize_i64(self, value: i64) -> Result<()> {
        self.signed(value.into())
    }
    fn serialize_i128(self, value: i128) -> Result<()> {
        self.signed(value)
    }
    fn serialize_u8(self, value: u8) -> Result<()> {
        self.unsigned(value.into())
    }
    fn serialize_u16(self, value: u16) -> Result<()> {
        self.unsigned(value.into())
    }
    fn serialize_u32(self, value: u32) -> Result<()> {
        self.unsigned(value.into())
    }
    fn serialize_u64(self, value: u64) -> Result<()> {
        self.unsigned(value.into())
    }
    fn serialize_u128(self, value: u128) -> Result<()> {
        self.unsigned(value)
    }
    fn serialize_f32(self, value: f32) -> Result<()> {
        self.double(value.into())
    }
    fn serialize_f64(self, value: f64) -> Result<()> {
        self.double(value)
    }
    fn serialize_char(self, value: char) -> Result<()> {
        self.text(value.encode_utf8(&mut [0; 4]))
    }
    fn serialize_str(self, value: &str) -> Result<()> {
        self.text(value)
    }
    fn serialize_bytes(self, value: &[u8]) -> Result<()> {
        self.collect_seq(value)
    }
    fn serialize_none(self) -> Result<()> {
        self.serialize_unit()
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<()> {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result<()> {
        self.out.extend_from_slice(b"null");
        Ok(())
    }
    fn serialize_unit_struct(self, _name: &'static str) -> Result<()> {
        self.serialize_unit()
    }
    fn serialize_unit_variant(self, _name: &'static str, _index: u32, variant: &'static str) -> Result<()> {
        self.text(variant)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _name: &'static str, value: &T) -> Result<()> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<()> {
        self.variant(variant)?;
        value.serialize(&mut *self).map_err(|error| error.within(variant))?;
        self.out.push(b'}');
        Ok(())
    }
    fn serialize_seq(self, _len: Option<usize>) -> Result<Array<'s, 'o>> {
        Ok(self.array(b"]"))
    }
    fn serialize_tuple(self, _len: usize) -> Result<Array<'s, 'o>> {
        Ok(self.array(b"]"))
    }
    fn serialize_tuple_struct(self, _name: &'static str, _len: usize) -> Result<Array<'s, 'o>> {
        Ok(self.array(b"]"))
    }
    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Array<'s, 'o>> {
        self.variant(variant)?;
        Ok(Array { variant: Some(variant), ..self.array(b"]}") })
    }
    fn serialize_map(self, len: Option<usize>) -> Result<Object<'s, 'o>> {
        Ok(self.object(len.unwrap_or(0)))
    }
    fn serialize_struct(self, name: &'static str, len: usize) -> Result<Object<'s, 'o>> {
        if name == RAW_VALUE {
            return Err(CanonicalError::new("expected a value, got JSON text: parse it first"));
        }
        Ok(self.object(len))
    }
    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Object<'s, 'o>> {
        self.variant(variant)?;
        Ok(Object { tail: b"}", ..self.object(len) })
    }
}

/// An array under way.
pub(super) struct Array<'s, 'o> {
    serializer: &'s mut Serializer<'o>,
    index: usize,
    variant: Option<&'static str>,
    tail: &'static [u8],
}

impl Array<'_, '_> {
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        if self.index > 0 {
            self.serializer.out.push(b',');
        }
        value.serialize(&mut *self.serializer).map_err(|error| {
            let error = error.within(self.index.to_string());
            match self.variant {
                Some(variant) => error.within(variant),
                None => error,
            }
        })?;
        self.index += 1;
        Ok(())
    }

    fn close(self) -> Result<()> {
        self.serializer.out.extend_from_slice(self.tail);
        Ok(())
    }
}

impl ser::SerializeSeq for Array<'_, '_> {
    type Ok = ();
    type Error = CanonicalError;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.element(value)
    }
    fn end(self) -> Result<()> {
        self.close()
    }
}

impl ser::SerializeTuple for Array<'_, '_> {
    type Ok = ();
    type Error = CanonicalError;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.element(value)
    }
    fn end(self) -> Result<()> {
        self.close()
    }
}

impl ser::SerializeTupleStruct for Array<'_, '_> {
    type Ok = ();
    type Error = CanonicalError;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.element(value)
    }
    fn end(self) -> Result<()> {
        self.close()
    }
}

impl ser::SerializeTupleVariant for Array<'_, '_> {
    type Ok = ();
    type Error = CanonicalError;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.element(value)
    }
    fn end(self) -> Result<()> {
        self.close()
    }
}

/// A member that stands in the output, in the order in which it came.
struct Member {
    key: Cow<'static, str>,
    start: usize,
    end: usize,
}

/// An object under way: members are written as they come and put in order at the end.
pub(super) struct Object<'s, 'o> {
    serializer: &'s mut Serializer<'o>,
    start: usize,
    members: Vec<Member>,
    sorted: bool,
    key: Option<String>,
    tail: &'static [u8],
}

impl Object<'_, '_> {
    fn member<T: Serialize + ?Sized>(&mut self, key: Cow<'static, str>, value: &T) -> Result<()> {
        self.serializer.out.push(if self.members.is_empty() { b'{' } else { b',' });
        let start = self.serializer.out.len();
        self.serializer.text(&key)?;
        self.serializer.out.push(b':');
        if let Err(error) = value.serialize(&mut *self.serializer) {
            return Err(error.within(key));
        }
        if let Some(last) = self.members.last() {
            self.sorted &= utf16_order(&last.key, &key).is_lt();
        }
        self.members.push(Member { key, start, end: self.serializer.out.len() });
        Ok(())
    }

    fn close(mut self) -> Result<()> {
        let out = &mut *self.serializer.out;
        if self.members.is_empty() {
            out.push(b'{');
        }
        if !self.sorted {
            self.members.sort_by(|a, b| utf16_order(&a.key, &b.key));
            if let Some(pair) = self.members.windows(2).find(|pair| pair[0].key == pair[1].key) {
                return Err(CanonicalError::new(format!("the key {:?} is there twice", pair[0].key)));
            }
            let unsorted = out.split_off(self.start);
            for (position, member) in self.members.iter().enumerate() {
                out.push(if position == 0 { b'{' } else { b',' });
                out.extend_from_slice(&unsorted[member.start - self.start..member.end - self.start]);
            }
        }
        out.push(b'}');
        out.extend_from_slice(self.tail);
        Ok(())
    }
}

impl ser::SerializeStruct for Object<'_, '_> {
    type Ok = ();
    type Error = CanonicalError;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<()> {
        self.member(Cow::Borrowed(key), value)
    }
    fn end(self) -> Result<()> {
        self.close()
    }
}

impl ser::SerializeStructVariant for Object<'_, '_> {
    type Ok = ();
    type Error = CanonicalError;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<()> {
        self.member(Cow::Borrowed(key), value)
    }
    fn end(self) -> Result<()> {
        self.close()
    }
}

impl ser::SerializeMap for Object<'_, '_> {
    type Ok = ();
    type Error = CanonicalError;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        // The JSON form of a text key tells text from everything else, without a second serializer.
        match serde_json::to_value(key) {
            Ok(serde_json::Value::String(key)) => {
                self.key = Some(key);
                Ok(())
            }
            Ok(serde_json::Value::Number(key)) if !key.is_f64() => {
                self.key = Some(key.to_string());
                Ok(())
            }
            _ => Err(CanonicalError::new("expected a text key")),
        }
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        let key = self.key.take().ok_or_else(|| CanonicalError::new("a value came before its key"))?;
        self.member(Cow::Owned(key), value)
    }
    fn end(self) -> Result<()> {
        self.close()
    }
}

/// RFC 8785, 3.2.3: keys are sorted by their UTF-16 code units.
fn utf16_order(a: &str, b: &str) -> std::cmp::Ordering {
    // UTF-8 and UTF-16 order differ only where surrogates are involved: above U+FFFF.
    if a.is_ascii() && b.is_ascii() { a.cmp(b) } else { a.encode_utf16().cmp(b.encode_utf16()) }
}

fn unsafe_integer(number: impl std::fmt::Display) -> CanonicalError {
    CanonicalError::new(format!("expected an integer within ±(2^53 − 1), got {number}"))
}
