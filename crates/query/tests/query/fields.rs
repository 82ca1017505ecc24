//! Fields by the names people type, wherever their values stand.

use serde_json::{Value, json};

use crate::trail_of::{Trail, decision, id};

/// A field that is a column in one file, in the remainder of another, in both of a third, and in the journal.
fn scattered() -> Trail {
    let trail = Trail::new();
    let writer = trail.open();
    let settle = |records: &[Value]| {
        crate::trail_of::append(&writer, records);
        writer.wait_sealed().unwrap();
        writer.settle().unwrap();
    };
    // Too few to be worth a column.
    settle(&(0..3).map(|n| decision(n, json!({"income": n, "odd key": {"x": [n]}}))).collect::<Vec<_>>());
    settle(&(3..60).map(|n| decision(n, json!({"income": n, "Age": n, "list": [n, 0.5]}))).collect::<Vec<_>>());
    let odd = |n: u64| match n % 4 {
        0 => json!({"income": format!("{n} a month")}),
        1 => json!({"income": null, "list": ["a"]}),
        2 => json!({"income": u64::MAX}),
        _ => json!({"income": n, "nested": {"deep": {"er": n}}}),
    };
    settle(&(60..100).map(|n| decision(n, odd(n))).collect::<Vec<_>>());
    crate::trail_of::append(&writer, &(100..110).map(|n| decision(n, json!({"income": n}))).collect::<Vec<_>>());
    writer.wait_sealed().unwrap();
    std::mem::forget(writer);
    trail
}

#[test]
fn a_field_reads_the_same_wherever_its_values_stand() {
    let trail = scattered();
    let numbers: Vec<u64> = (0..60).chain((60..100).filter(|n| n % 4 == 3)).chain(100..110).collect();
    for (condition, wanted) in [
        ("inputs.income IS NOT NULL AND inputs.income < 1000", numbers.clone()),
        ("inputs.income BETWEEN 1 AND 4", vec![1, 2, 3, 4]),
        ("inputs.income > 62 AND inputs.income < 103", vec![63, 67, 71, 75, 79, 83, 87, 91, 95, 99, 100, 101, 102]),
        ("inputs.income IN (2, 40, 105)", vec![2, 40, 105]),
        ("inputs.income > 1e19", (60..100).filter(|n| n % 4 == 2).collect()),
        ("\"inputs.income:str\" LIKE '%month'", (60..100).filter(|n| n % 4 == 0).collect()),
        ("\"inputs.income:json\" = 'null'", (60..100).filter(|n| n % 4 == 1).collect()),
        ("inputs[\"odd key\"] IS NOT NULL", vec![0, 1, 2]),
        ("\"inputs[\"\"odd key\"\"].x:json\" = '[1]'", vec![1]),
        ("inputs[\"odd key\"].x[1] = 2", vec![2]),
        ("array_has(inputs.list, 7.0)", vec![7]),
        ("inputs.list[1] = 9", vec![9]),
        ("inputs.nested.deep.er > 90", vec![91, 95, 99]),
        ("json_number(inputs, 'nested', 'deep', 'er') = 91", vec![91]),
        ("inputs.nested LIKE '%95%'", vec![95]),
        ("inputs LIKE '%\"income\":42%'", vec![42]),
        ("inputs.Age = 30", vec![30]),
    ] {
        let sql = format!("SELECT index FROM decisions WHERE {condition} ORDER BY index");
        let found: Vec<u64> = trail.rows(&sql).iter().map(|row| row[0].as_u64().unwrap()).collect();
        assert_eq!(found, wanted, "{condition}");
    }
}

#[test]
fn sections_come_back_whole() {
    let trail = scattered();
    for n in [0, 30, 61, 62, 63, 105] {
        let row = &trail.rows(&format!("SELECT inputs, output.score, subject.id FROM decisions WHERE index = {n}"))[0];
        let stored = trail.view().snapshot().get(n).unwrap().unwrap().stored;
        let inputs = stored.parts().unwrap().get(record::Part::Inputs).unwrap();
        let wanted = record::part_to_json(record::Part::Inputs, inputs).unwrap();
        assert_eq!((row[0].as_str(), &row[1]), (Some(&*wanted), &json!(0.5)));
        assert_eq!(row[2], format!("customer-{n}"));
    }
}

#[test]
fn a_field_of_several_types_says_so() {
    let trail = scattered();
    let view = trail.view();
    let mut answer = view.sql("SELECT count(inputs.income), count(\"inputs.income:json\") FROM decisions").unwrap();
    let batch = answer.next().unwrap().unwrap();
    assert_eq!(batch.num_rows(), 1);
    assert!(answer.next().is_none());
    let notes = answer.notes().join("\n");
    assert!(
        notes.contains("inputs.income is numbers here; it also has values that are texts (\"inputs.income:str\")"),
        "{notes}"
    );
}

#[test]
fn values_of_another_type_in_a_remainder_are_told_of() {
    let strange = (0..30).map(|n| decision(n, if n == 7 { json!({"income": "much"}) } else { json!({"income": n}) }));
    let trail = Trail::holding(&strange.collect::<Vec<_>>(), &[]);
    let view = trail.view();
    let mut answer = view.sql("SELECT index FROM decisions WHERE inputs.income IS NULL").unwrap();
    assert_eq!(answer.by_ref().map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 1);
    assert!(answer.notes()[0].starts_with("some values of inputs.income are not numbers"), "{:?}", answer.notes());
}

#[test]
fn slips_are_errors_that_help() {
    let trail = scattered();
    for (sql, error) in [
        ("SELECT inputs.incme FROM decisions", "no record has a field inputs.incme; did you mean inputs.income?"),
        ("SELECT age FROM decisions", "no record has a field age; did you mean inputs.Age?"),
        ("SELECT inputs.age FROM decisions", "no record has a field inputs.age; did you mean inputs.Age?"),
        ("SELECT model.nme FROM decisions", "no record has a field model.nme; did you mean model.name?"),
        ("SELECT 1 FROM decisons", "there is no table \"decisons\"; did you mean decisions?"),
        ("SELECT 1 FROM models.nobody", "there is no table models.\"nobody\""),
        ("SELECT 1 FROM decisions WHERE inputs.income = 'x'", "inputs.income is a number and 'x' is a text"),
        ("SELECT 1 FROM decisions WHERE subject.id = 7", "subject.id is a text and Int64(7) is a number"),
        (
            "SELECT 1 FROM decisions WHERE inputs.income BETWEEN 'a' AND 'b'",
            "inputs.income is a number and 'a' is a text",
        ),
        ("SELECT 1 FROM decisions WHERE time > 5", "time is a time and 5 is a number"),
        ("SELECT 1 FROM decisions WHERE time > 'soon'", "\"soon\" is no time"),
        ("SELECT 1 FROM decisions WHERE inputs.income LIKE '4%'", "inputs.income is a number and '4%' is a text"),
        (
            "SELECT 1 FROM decisions d JOIN outcomes o ON d.inputs.income = o.about",
            "inputs.income is a number and about",
        ),
        ("SELEC 1", "the query cannot be read"),
    ] {
        let said = trail.error(sql);
        let begins: String = error.replace("Int64(7)", "7");
        assert!(said.starts_with(error) || said.starts_with(&begins), "{sql}\n{said}");
    }
}

#[test]
fn a_trail_of_which_nothing_is_settled_is_asked_the_same() {
    let trail = Trail::holding(&[], &(0..9).map(|n| decision(n, json!({"income": n}))).collect::<Vec<_>>());
    let rows = trail.rows("SELECT inputs.income, model.name FROM decisions WHERE inputs.income >= 7 ORDER BY 1");
    assert_eq!(rows, [json!([7.0, "credit"]), json!([8.0, "credit"])]);
    let columns: Vec<Value> = trail.rows("DESCRIBE decisions").iter().map(|row| row[0].clone()).collect();
    assert!(columns.contains(&json!("inputs.income")), "{columns:?}");
    let empty = Trail::holding(&[], &[]);
    assert_eq!(empty.rows("SELECT count(*) FROM decisions"), [json!([0])]);
    assert_eq!(empty.rows("SELECT count(*) FROM cases"), [json!([0])]);
}

#[test]
fn a_models_table_has_its_own_columns() {
    let wide = (0..1_100).map(|n| decision(n, json!({"income": n})));
    let other = |n: u64, name: &str| {
        let mut record = decision(n, json!({"pixels": [n, 1]}));
        record["model"]["name"] = name.into();
        record
    };
    // One has files of its own, the others share one.
    let few = (2_000..2_040).map(|n| other(n, "a \"b\" 'c'"));
    let more = (3_000..3_040).map(|n| decision(n, json!({"income": n, "shared": n}))).map(|mut record| {
        record["model"]["name"] = "third".into();
        record
    });
    let trail = Trail::holding(&wide.chain(few).chain(more).collect::<Vec<_>>(), &[]);
    let columns = |table: &str| -> Vec<String> {
        let rows = trail.rows(&format!("DESCRIBE {table}"));
        rows.iter().map(|row| row[0].as_str().unwrap().to_owned()).filter(|name| name.starts_with("inputs.")).collect()
    };
    assert_eq!(columns("models.credit"), ["inputs.income"]);
    assert_eq!(columns("models.\"a \"\"b\"\" 'c'\""), ["inputs.pixels"]);
    assert_eq!(columns("models.third"), ["inputs.income", "inputs.shared"]);
    assert_eq!(trail.rows("SELECT count(*) FROM models.\"a \"\"b\"\" 'c'\""), [json!([40])]);
    let rows = trail.rows("SELECT models.third.inputs.shared FROM models.third WHERE inputs.shared = 3005");
    assert_eq!(rows, [json!([3005.0])]);
    assert!(trail.rows("SHOW TABLES").iter().any(|row| row[0] == "models.\"third\""));
}

#[test]
fn late_facts_are_joined() {
    let about = |n: u64, kind: &str, about: u64, output: Value| json!({"id": id(n), "kind": kind, "about": id(about), "output": output, "context": {"reason": "appeal"}});
    let mut records: Vec<Value> = (0..20).map(|n| decision(n, json!({"income": n}))).collect();
    records.push(about(100, "outcome", 3, json!({"defaulted": false})));
    records.push(about(101, "outcome", 3, json!({"defaulted": true})));
    records.push(about(102, "oversight", 3, json!({"after": "approve"})));
    let hot = [about(103, "outcome", 4, json!({"defaulted": false}))];
    let trail = Trail::holding(&records, &hot);
    assert_eq!(trail.rows("SELECT count(*) FROM cases"), [json!([20])]);
    let rows = trail.rows(
        "SELECT id, json_bool(outcome, 'defaulted'), json_text(oversight, 'after'), json_text(oversight_context, 'reason') \
         FROM cases WHERE outcome IS NOT NULL ORDER BY index",
    );
    assert_eq!(rows, [json!([id(3), true, "approve", "appeal"]), json!([id(4), false, null, null])]);
    assert_eq!(
        trail.rows("SELECT count(*) FROM outcomes WHERE about = '0190a5c2-7b1e-7c3a-9d55-000000000003'"),
        [json!([2])]
    );
    assert_eq!(
        trail.rows("SELECT output.defaulted FROM latest_outcomes ORDER BY index"),
        [json!([true]), json!([false])]
    );
}
