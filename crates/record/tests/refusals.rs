//! What is refused, and the words in which it is: every message says where, what, and what to do.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use record::{CborParser, JsonParser, Kind, Limits, Need, Part, Record, part_to_json};

const MODEL: &str = r#""model":{"name":"m","version":"1"}"#;

fn parse(json: &str) -> Result<Record, String> {
    JsonParser::new(Limits::DEFAULT).parse(json.as_bytes()).map_err(|error| error.to_string())
}

/// A decision that is whole but for what is given.
fn with(fields: &str) -> String {
    format!(r#"{{{MODEL},"inputs":{{}},"output":1,{fields}}}"#)
}

fn with_inputs(inputs: &str) -> String {
    format!(r#"{{{MODEL},"output":1,"inputs":{inputs}}}"#)
}

fn refusal(json: &str) -> String {
    match parse(json) {
        Err(message) => message,
        Ok(_) => panic!("not refused: {json}"),
    }
}

/// The texts, each with the message that refuses it.
fn refusals(texts: &[String]) -> String {
    texts.iter().map(|text| format!("{text}\n  {}\n", refusal(text))).collect()
}

#[test]
fn messages_of_bad_records() {
    let whole = [
        "",
        "[]",
        "null",
        "3",
        "{",
        "{}",
        "{} {}",
        r#"{"kind":"decision" "id":1}"#,
        r#"{"inpus":{"a":1}}"#,
        r#"{"zzz":1}"#,
        r#"{"kind":"decisoin"}"#,
        r#"{"kind":"outcome"}"#,
        r#"{"kind":"gap"}"#,
        r#"{"kind":"oversight"}"#,
        r#"{"kind":"config","inputs":{}}"#,
        r#"{"model":{"name":"m"},"inputs":{},"output":1}"#,
        r#"{"model":{"name":"m","version":"1"},"output":1}"#,
        r#"{"model":{"name":"m","version":"1"},"inputs":{}}"#,
    ];
    let fields = [
        r#""id":"7""#,
        r#""id":"f47ac10b-58cc-4372-a567-0e02b2c3d479""#,
        r#""about":7"#,
        r#""time":"yesterday""#,
        r#""time":"2024-06-01T12:00:00.1234567891Z""#,
        r#""time":"2016-12-31T23:59:60Z""#,
        r#""time":"2024-06-01T12:00:00""#,
        r#""time":"1500-01-01T00:00:00Z""#,
        r#""time":"2300-01-01T00:00:00Z""#,
        r#""time":1717243200"#,
        r#""time":1.5"#,
        r#""clock":{"max_error_ns":-1}"#,
        r#""clock":{"max_error_ns":1.5}"#,
        r#""clock":{"synced":1}"#,
        r#""clock":{"sources":"kernel"}"#,
        r#""clock":[]"#,
        r#""clock":{"synced":true,"source":"a","max_error_ns":1,"source":"b"}"#,
        r#""producer":{"seq":1}"#,
        r#""producer":{"name":""}"#,
        r#""producer":{"name":"a\nb"}"#,
        r#""trace":{"trace_id":"00000000000000000000000000000000"}"#,
        r#""trace":{"trace_id":"4bf92f3577b34da6a3ce929d0e0e473g"}"#,
        r#""trace":{"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"1"}"#,
        r#""model":{"name":"m","version":"1"}"#,
        r#""result":{"adverse":"yes"}"#,
        r#""sampling":{"probability":0}"#,
        r#""sampling":{"probability":{"$f64":"NaN"}}"#,
        r#""profile":["reg-b",3]"#,
        r#""salt":"00""#,
        r#""salt":7"#,
        r#""subject":"customer-991""#,
        r#""context":[1]"#,
        r#""context":{"a":1,"a":2}"#,
        r#""context":{"$$a":1,"b":2,"$$a":3}"#,
        r#""context":{"x":{"a":1,"b":[0,{"c":2,"d":{"e":3,"e":4}}]}}"#,
        r#""context":{"x":[{"a":1},{"b":2,"c":{"odd key":18446744073709551616}}]}"#,
        r#""context":{"a":1e300,"b":123456789012345678901234567890,"c":1}"#,
        r#""context":{"a":-9223372036854775809}"#,
        r#""context":{"a":NaN,"b":99999999999999999999}"#,
        r#""context":{"a":1e400}"#,
        r#""context":{"a":"\ud800"}"#,
        r#""context":{"a":"\udc00"}"#,
        r#""context":{"a":"\ud800\u0041"}"#,
        r#""context":{"a":"\u00g0"}"#,
        r#""context":{"a":{"$f64":"nan"}}"#,
        r#""context":{"a":{"$f64":1}}"#,
        r#""context":{"a":{"$f64":"NaN","b":1}}"#,
        r#""context":{"a":{"b":1,"$f64":"NaN"}}"#,
        r#""context":{"a":{"$bytes":"AA"}}"#,
        r#""context":{"a":{"$bytes":[]}}"#,
        r#""context":{"a":{"$blob":"sha256:00"}}"#,
        r#""context":{"a":{"$blob":{"digest":"sha256:00","bytes":1,"media_type":"x"}}}"#,
        r#""context":{"a":{"$blob":{"bytes":1,"bytes":1}}}"#,
        r#""context":{"a":{"$date":"2024-06-01"}}"#,
        r#""context":{"a":NaN,"b":-Infinity,"c":nope}"#,
        "\"context\":{\"a\":NaN,\n\"b\":[Infinity, NaN,],\"c\":1}",
    ];
    let texts: Vec<String> =
        whole.iter().map(|text| (*text).to_owned()).chain(fields.iter().map(|fields| with(fields))).collect();
    insta::assert_snapshot!(refusals(&texts));
}

#[test]
fn bytes_that_are_not_utf8_are_refused() {
    let error = JsonParser::new(Limits::DEFAULT).parse(b"{\"context\":{\"a\":\"\xff\"}}").unwrap_err();
    insta::assert_snapshot!(error, @"record: not valid JSON: byte 17 is not UTF-8");
}

#[test]
fn messages_of_bad_cbor() {
    let bad: [&[u8]; 9] = [
        b"",
        b"\x80",
        b"\xa1\x01\x01",
        b"\xa1\x64kind\x66decision",
        b"\xa1\x67context\xa1\x61a\x9f\xff",
        b"\xa1\x67context\xa1\x61a\xa2\x61b\x81\xc2\x41\x01\x61c\x01",
        b"\xa1\x67context\xa2\x61a\x01\x61a\x02",
        b"\xa2\x67context\xa0\x67context\xa0",
        b"\xa1\x67context\xa1\x61a\x81\x3b\x80\x00\x00\x00\x00\x00\x00\x00",
    ];
    let messages: String = bad
        .iter()
        .map(|bytes| {
            let error = CborParser::new(Limits::DEFAULT).parse(bytes).unwrap_err();
            format!("{}\n  {error}\n", bytes.escape_ascii())
        })
        .collect();
    insta::assert_snapshot!(messages);
}

/// One row a limit: what comes up to it is taken, one more is refused.
#[test]
fn limits_hold_exactly() {
    let limits = Limits::DEFAULT;
    let deep = |levels: usize| with_inputs(&format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels)));
    let arrays =
        |levels: usize| format!(r#"{{{MODEL},"inputs":{{}},"output":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
    // The map around bare inputs is a level and a field too.
    let bare = |levels: usize| with_inputs(&format!("{}{}", "[".repeat(levels), "]".repeat(levels)));
    let fields = |count: usize| {
        with_inputs(&format!("{{{}}}", (0..count).map(|i| format!("\"f{i}\":1")).collect::<Vec<_>>().join(",")))
    };
    let bare_fields = |count: usize| {
        with_inputs(&format!("[{{{}}}]", (0..count).map(|i| format!("\"f{i}\":1")).collect::<Vec<_>>().join(",")))
    };
    let key = |len: usize| with_inputs(&format!("{{\"{}\":1}}", "k".repeat(len)));
    let string = |len: usize| with_inputs(&format!("{{\"s\":\"{}\"}}", "s".repeat(len)));
    let bytes = |len: usize| {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(vec![7; len]);
        with_inputs(&format!("{{\"s\":{{\"$bytes\":\"{text}\"}}}}"))
    };
    let name = |len: usize| with(&format!("\"producer\":{{\"name\":\"{}\"}}", "n".repeat(len)));
    let profiles = |count: usize| with(&format!("\"profile\":[{}]", vec!["\"p\""; count].join(",")));
    let empty = parse(&with_inputs("[\"\",\"\",\"\",\"\"]")).unwrap().parts.total_bytes();
    let size = |total: usize| {
        // Four strings whose heads take 5 bytes each instead of one.
        let text = total - empty - 4 * 4;
        let each = text / 4;
        let last = text - 3 * each;
        let strings: Vec<_> = [each, each, each, last].iter().map(|len| format!("\"{}\"", "s".repeat(*len))).collect();
        with_inputs(&format!("[{}]", strings.join(",")))
    };
    let rows: [(&dyn Fn(usize) -> String, usize); 11] = [
        (&deep, limits.depth),
        (&arrays, limits.depth),
        (&bare, limits.depth - 1),
        (&fields, limits.fields),
        (&bare_fields, limits.fields - 1),
        (&key, limits.key_bytes),
        (&string, limits.string_bytes),
        (&bytes, limits.string_bytes),
        (&name, 256),
        (&profiles, 16),
        (&|total| size(total), 1_000_000),
    ];
    let mut messages = String::new();
    for (make, limit) in &rows[..10] {
        let record = parse(&make(*limit)).unwrap();
        // What is at the limit stays within it on its way out and in again.
        let face = record::to_cbor(&record.parts).unwrap();
        assert_eq!(CborParser::new(limits).parse(&face).unwrap(), record);
        messages += &(refusal(&make(limit + 1)) + "\n");
    }
    let tight = Limits { record_bytes: rows[10].1, ..limits };
    let mut parser = JsonParser::new(tight);
    let record = parser.parse(size(tight.record_bytes).as_bytes()).unwrap();
    assert_eq!(record.parts.total_bytes(), tight.record_bytes);
    let face = record::to_cbor(&record.parts).unwrap();
    assert_eq!(CborParser::new(tight).parse(&face).unwrap(), record);
    messages += &format!("{}\n", parser.parse(size(tight.record_bytes + 1).as_bytes()).unwrap_err());
    messages += &format!("{}\n", parser.parse(size(tight.record_bytes + 100_000).as_bytes()).unwrap_err());
    let long = with(&" ".repeat(tight.text_bytes()));
    messages += &format!("{}\n", parser.parse(long.as_bytes()).unwrap_err());
    messages += &format!("{}\n", CborParser::new(tight).parse(long.as_bytes()).unwrap_err());
    insta::assert_snapshot!(messages);
}

/// However much longer than its canonical bytes a record's JSON is, it is not refused for that.
#[test]
fn the_longest_json_that_a_record_is_shown_as_can_be_read_again() {
    let limits = Limits { record_bytes: 2_000, ..Limits::DEFAULT };
    // An empty byte string, minus infinity, text of control characters, the least half float.
    for item in [&b"\x40"[..], b"\xf9\xfc\x00", b"\x66\0\0\0\0\0\0", b"\xf9\x00\x01"] {
        let count = 1_900 / item.len();
        let head =
            [b"\xa2\x64kind\x66config\x67context\xa1\x61a\x99".as_slice(), &(count as u16).to_be_bytes()].concat();
        let face = [head, item.repeat(count)].concat();
        let record = CborParser::new(limits).parse(&face).unwrap();
        let context = part_to_json(Part::Context, record.parts.get(Part::Context).unwrap()).unwrap();
        let shown = format!(r#"{{"kind":"config","context":{context}}}"#);
        assert_eq!(JsonParser::new(limits).parse(shown.as_bytes()).unwrap(), record);
    }
}

/// A form is a scalar: it stands where any other scalar may, however deep.
#[test]
fn forms_count_no_depth() {
    let levels = Limits::DEFAULT.depth;
    for form in [r#"{"$f64":"NaN"}"#, r#"{"$bytes":"AA=="}"#, "NaN"] {
        let json = format!(r#"{{{MODEL},"inputs":{{}},"output":{}{form}{}}}"#, "[".repeat(levels), "]".repeat(levels));
        parse(&json).unwrap();
    }
    let empty = format!(r#"{{{MODEL},"inputs":{{}},"output":{}{{}}{}}}"#, "[".repeat(levels), "]".repeat(levels));
    assert!(refusal(&empty).contains("the depth of nesting is 17, over the limit of 16"));
}

/// A parser that refused one record reads the next as if nothing had been.
#[test]
fn a_refusal_leaves_nothing_behind() {
    let good = with(r#""context":{"b":{"x":1},"a":[1,{"y":2}]}"#);
    let expected = parse(&good).unwrap();
    let mut parser = JsonParser::new(Limits::DEFAULT);
    for bad in
        [r#"{"context":{"a":{"b":[1,{"c":nope"#, r#"{"context":{"z":1,"a":{"b":1,"b":2}}}"#, "[", "{\"inputs\":[[1"]
    {
        assert!(parser.parse(bad.as_bytes()).is_err());
        assert_eq!(parser.parse(good.as_bytes()).unwrap(), expected);
    }
}

#[test]
fn null_is_absent_for_sections_and_envelope_fields() {
    let plain = parse(&with(r#""producer":{"name":"p"}"#)).unwrap();
    let nulls = with(
        r#""producer":{"name":"p","seq":null,"instance":null},"id":null,"time":null,"about":null,"clock":null,
        "trace":null,"result":{"class":null},"sampling":null,"profile":null,"error":null,"inputs_withheld":null,
        "kind":null,"salt":null,"subject":null,"parameters":null,"explanation":null,"context":null"#,
    );
    assert_eq!(parse(&nulls).unwrap(), plain);
    // Null is absent, not twice absent; and an absent section does not fill a need.
    assert!(refusal(&with(r#""context":null,"context":null"#)).contains("there twice"));
    assert!(refusal(&with_inputs("null")).contains("must hold inputs"));
    // Inside a section null is a value.
    let kept = parse(&with(r#""context":{"a":null}"#)).unwrap();
    assert_eq!(kept.parts.get(Part::Context).unwrap(), b"\xa1\x61a\xf6");
}

#[test]
fn ids_are_one_value_in_any_spelling() {
    let spellings = ["0190A5C2-7B1E-7C3A-9D55-1F0F5A6B7C8D", "0190a5c2-7b1e-7c3a-9d55-1f0f5a6b7c8d"];
    let [upper, lower] = spellings.map(|id| parse(&with(&format!(r#""id":"{id}","about":"{id}""#))).unwrap());
    assert_eq!(upper, lower);
}

#[test]
fn times_are_one_value_in_any_spelling() {
    for (texts, ns) in [
        (
            &[
                "\"2024-06-01T12:00:00Z\"",
                "\"2024-06-01T14:00:00.000000000+02:00\"",
                "1717243200000000000",
                "1717243200e9",
            ][..],
            1_717_243_200_000_000_000i64,
        ),
        (&["\"1969-12-31T23:59:59.999999999Z\"", "-1"], -1),
        (&["\"1970-01-01T00:00:00.000000001Z\""], 1),
        (&["\"1970-01-01T00:00:00Z\"", "0"], 0),
        (&["\"1677-09-21T00:12:43.145224192Z\"", "-9223372036854775808"], i64::MIN),
        (&["\"2262-04-11T23:47:16.854775807Z\"", "9223372036854775807"], i64::MAX),
    ] {
        for text in texts {
            let record = parse(&with(&format!("\"time\":{text}"))).unwrap();
            assert_eq!(record.time_ns, Some(ns), "{text}");
            // Written out and read again it has the same canonical bytes.
            let json = part_to_json(Part::Envelope, record.parts.get(Part::Envelope).unwrap()).unwrap();
            let fields = json.strip_prefix('{').unwrap().strip_suffix('}').unwrap();
            let again = parse(&format!(r#"{{{fields},"inputs":{{}},"output":1}}"#)).unwrap();
            assert_eq!(again, record, "{text}");
        }
    }
}

/// Bare words of Python are numbers; the same letters in strings and keys are letters.
#[test]
fn bare_words_are_rewritten_outside_strings_only() {
    let json =
        with_inputs(r#"{"NaN":NaN,"a\"NaN":"NaN, [Infinity]","b\\":[-Infinity,Infinity,"\\",NaN],"c":{"$f64":"NaN"}}"#);
    let spelled = with_inputs(
        r#"{"NaN":{"$f64":"NaN"},"a\"NaN":"NaN, [Infinity]","b\\":[{"$f64":"-Infinity"},{"$f64":"Infinity"},"\\",{"$f64":"NaN"}],"c":{"$f64":"NaN"}}"#,
    );
    assert_eq!(parse(&json).unwrap(), parse(&spelled).unwrap());
}

#[test]
fn huge_floats_are_kept_and_huge_integers_are_not() {
    for number in [
        "1e19",
        "18446744073709551616.0",
        "-1e300",
        "1.8446744073709552e19",
        "18446744073709551615",
        "-9223372036854775808",
    ] {
        parse(&with_inputs(&format!("{{\"a\":{number},\"b\":\"99999999999999999999\"}}"))).unwrap();
    }
    let error = refusal(&with_inputs(r#"{"a":1e20,"b":[1e20,18446744073709551615,{"c":18446744073709551616}]}"#));
    assert_eq!(
        error,
        "inputs.b[2].c: the integer 18446744073709551616 does not fit in 64 bits: send it as text, or as a float (1.0e30)"
    );
}

/// The table of record.md, as it stands there: kind, sections it may hold, what it must hold.
const TABLE: &str = "
    decision    | subject inputs parameters output explanation context | model, inputs or inputs_withheld, output or error
    explanation | explanation context        | about
    outcome     | output context             | about
    oversight   | output context subject     | about or model
    model       | parameters context         | model
    access      | context subject            |
    summary     | output                     | model
    gap         | context                    | producer
    producer    | context                    | producer
    config      | context                    |
    erasure     | context subject            |
    hold        | context subject            |
";

fn need(text: &str) -> Need {
    match text {
        "model" => Need::Model,
        "inputs or inputs_withheld" => Need::InputsOrWithheld,
        "output or error" => Need::OutputOrError,
        "about" => Need::About,
        "about or model" => Need::AboutOrModel,
        "producer" => Need::Producer,
        other => unreachable!("{other}"),
    }
}

#[test]
fn each_kind_holds_what_the_table_says() {
    let field = |name: &str| match name {
        "model" => format!("{MODEL},"),
        "about" => r#""about":"0190a5c2-7b1e-7c3a-9d55-1f0f5a6b7c8d","#.to_owned(),
        "producer" => r#""producer":{"name":"p"},"#.to_owned(),
        "inputs_withheld" | "error" => format!("\"{name}\":\"why\","),
        section => format!("\"{section}\":{{}},"),
    };
    let rows: Vec<Vec<&str>> = TABLE.trim().lines().map(|line| line.split('|').map(str::trim).collect()).collect();
    assert_eq!(rows.len(), Kind::all().count());
    for row in rows {
        let kind = Kind::from_name(row[0]).unwrap();
        let needs: Vec<Vec<&str>> =
            row[2].split(", ").filter(|need| !need.is_empty()).map(|need| need.split(" or ").collect()).collect();
        let declared: Vec<Need> = row[2].split(", ").filter(|text| !text.is_empty()).map(need).collect();
        assert_eq!(kind.must_hold(), declared);
        // The record with the given choice among the alternatives, without the need at `left_out`, and one section.
        let record = |choice: usize, left_out: Option<usize>, section: Option<&str>| {
            let kept = needs.iter().enumerate().filter(|(position, _)| Some(*position) != left_out);
            let mut names: Vec<&str> = kept.map(|(_, names)| names[choice % names.len()]).collect();
            names.extend(section.filter(|section| !names.contains(section)));
            let fields: String = names.into_iter().map(field).collect();
            parse(&format!("{{{fields}\"kind\":\"{}\"}}", row[0]))
        };
        for choice in 0..2 {
            for part in Part::SECTIONS {
                let allowed = row[1].split(' ').any(|name| name == part.name());
                assert_eq!(kind.may_hold(part), allowed);
                assert_eq!(record(choice, None, Some(part.name())).is_ok(), allowed, "{} {part:?}", row[0]);
            }
            for (left_out, names) in needs.iter().enumerate() {
                let error = record(choice, Some(left_out), None).unwrap_err();
                assert!(error.contains(&format!("kind {:?} must hold {}", row[0], names[0])), "{error}");
            }
        }
    }
}
