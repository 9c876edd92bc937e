use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn canonical(json: &str) -> String {
    let value: Value = serde_json::from_str(json).unwrap();
    String::from_utf8(canonical_json(&value).unwrap()).unwrap()
}

#[test]
fn the_example_of_rfc_8785_section_3_2_2_comes_out_as_printed_there() {
    let input = r#"{
      "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]
    }"#;
    let expected = r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}"#;
    assert_eq!(canonical(input), expected);
}

#[test]
fn keys_are_sorted_as_in_rfc_8785_section_3_2_3() {
    let input = r#"{
      "\u20ac": "Euro Sign",
      "\r": "Carriage Return",
      "\ufb33": "Hebrew Letter Dalet With Dagesh",
      "1": "One",
      "\ud83d\ude00": "Emoji: Grinning Face",
      "\u0080": "Control",
      "\u00f6": "Latin Small Letter O With Diaeresis"
    }"#;
    let sorted: Vec<_> =
        ["\\r", "1", "\u{80}", "ö", "€", "\u{1f600}", "\u{fb33}"].map(|k| format!("\"{k}\":")).into();
    let output = canonical(input);
    let found: Vec<_> = sorted.iter().map(|key| output.find(key).unwrap()).collect();
    assert!(found.is_sorted(), "{output}");
}

/// RFC 8785, appendix B: IEEE 754 bits and their text.
#[test]
fn numbers_are_written_as_in_rfc_8785_appendix_b() {
    for (bits, text) in [
        (0x0000_0000_0000_0000, "0"),
        (0x8000_0000_0000_0000, "0"),
        (0x0000_0000_0000_0001, "5e-324"),
        (0x8000_0000_0000_0001, "-5e-324"),
        (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
        (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
        (0x4340_0000_0000_0000, "9007199254740992"),
        (0xc340_0000_0000_0000, "-9007199254740992"),
        (0x4430_0000_0000_0000, "295147905179352830000"),
        (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
        (0x44b5_2d02_c7e1_4af6, "1e+23"),
        (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
        (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
        (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
        (0x444b_1ae4_d6e2_ef50, "1e+21"),
        (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
        (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
        (0x41b3_de43_5555_5553, "333333333.3333332"),
        (0x41b3_de43_5555_5554, "333333333.33333325"),
        (0x41b3_de43_5555_5555, "333333333.3333333"),
        (0x41b3_de43_5555_5556, "333333333.3333334"),
        (0x41b3_de43_5555_5557, "333333333.33333343"),
        (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
        (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
    ] {
        assert_eq!(canonical_json(&f64::from_bits(bits)).unwrap(), text.as_bytes(), "{bits:#x}");
    }
}

#[test]
fn numbers_that_json_cannot_carry_are_errors_that_name_their_place() {
    #[derive(Serialize)]
    struct Outer {
        fine: u32,
        inner: Vec<Inner>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "snake_case")]
    enum Inner {
        Price { usd: f64 },
        Pair(u64, i64),
        One(f32),
    }
    let at = |inner| canonical_json(&Outer { fine: 1, inner }).unwrap_err().pointer();
    assert_eq!(at(vec![Inner::One(1.0), Inner::Price { usd: f64::NAN }]), "/inner/1/usd");
    assert_eq!(at(vec![Inner::One(f32::INFINITY)]), "/inner/0/one");
    assert_eq!(at(vec![Inner::Pair(1 << 53, 0)]), "/inner/0/pair/0");
    assert_eq!(at(vec![Inner::Pair(0, -(1 << 53))]), "/inner/0/pair/1");
    assert_eq!(canonical_json(&json!({"a/b": {"~": 1_u64 << 60}})).unwrap_err().pointer(), "/a~1b/~0");
    let edge = [Inner::Pair(MAX_SAFE_INTEGER, -(MAX_SAFE_INTEGER as i64))];
    assert_eq!(canonical_json(&edge).unwrap(), br#"[{"pair":[9007199254740991,-9007199254740991]}]"#);
    let error = canonical_json(&[f64::NEG_INFINITY]).unwrap_err();
    assert_eq!(error.to_string(), "no canonical JSON at /0: expected a finite number, got -inf");
}

#[test]
fn json_that_is_already_text_and_doubled_keys_are_refused() {
    let raw = serde_json::value::RawValue::from_string("1.0".into()).unwrap();
    assert!(canonical_json(&raw).is_err());

    #[derive(Serialize)]
    struct Doubled {
        z: u8,
        #[serde(flatten)]
        rest: std::collections::BTreeMap<&'static str, u8>,
    }
    let doubled = Doubled { z: 1, rest: [("a", 2), ("z", 3)].into() };
    assert_eq!(canonical_json(&doubled).unwrap_err().problem(), "the key \"z\" is there twice");
}

#[test]
fn every_shape_of_rust_data_is_written_as_json_has_it() {
    #[derive(Serialize)]
    struct Unit;
    #[derive(Serialize)]
    struct Tuple(u8, char);
    #[derive(Serialize)]
    struct Shapes<'a> {
        z: Option<u8>,
        y: Unit,
        x: Tuple,
        b: &'a [u8],
        map: std::collections::BTreeMap<i32, bool>,
        empty: [u8; 0],
        none: serde_json::Map<String, Value>,
    }
    let shapes = Shapes {
        z: None,
        y: Unit,
        x: Tuple(7, 'ß'),
        b: b"\x00\xff",
        map: [(-1, true), (2, false), (10, true)].into(),
        empty: [],
        none: serde_json::Map::new(),
    };
    assert_eq!(
        String::from_utf8(canonical_json(&shapes).unwrap()).unwrap(),
        r#"{"b":[0,255],"empty":[],"map":{"-1":true,"10":true,"2":false},"none":{},"x":[7,"ß"],"y":null,"z":null}"#
    );
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-(MAX_SAFE_INTEGER as i64)..=MAX_SAFE_INTEGER as i64).prop_map(Value::from),
        any::<f64>().prop_filter("JSON has finite numbers only", |n| n.is_finite()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn a_second_implementation_agrees(value in any_json()) {
        prop_assert_eq!(canonical_json(&value).unwrap(), serde_json_canonicalizer::to_vec(&value).unwrap());
    }

    /// Doubles from 2^53 to 10^21 are written as integers, which reading takes for unsafe ones.
    #[test]
    fn canonical_json_reads_back_as_the_same_value(value in any_json().prop_filter("no large integers", small)) {
        let once = canonical_json(&value).unwrap();
        let read: Value = serde_json::from_slice(&once).unwrap();
        prop_assert_eq!(canonical_json(&read).unwrap(), once);
    }
}

fn small(value: &Value) -> bool {
    match value {
        Value::Number(n) => n.as_f64().is_none_or(|n| n.abs() < MAX_SAFE_INTEGER as f64 || n.abs() >= 1e21),
        Value::Array(items) => items.iter().all(small),
        Value::Object(members) => members.values().all(small),
        _ => true,
    }
}

#[test]
fn a_text_has_the_canonical_form_of_what_it_says_unless_it_says_something_twice() {
    let text = " {\"b\": 7.5e-05, \"a\": [1.0, \"\\u00e9\"], \"n\": null} ";
    assert_eq!(canonical_text(text).unwrap(), "{\"a\":[1,\"é\"],\"b\":0.000075,\"n\":null}");
    for text in ["", "{", "1 2", "{\"a\":1,\"a\":1}", "9007199254740993", "[1e999]", "\"\\ud800\""] {
        assert!(canonical_text(text).is_err(), "{text}");
    }
}
