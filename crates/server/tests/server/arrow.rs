//! Records as an Arrow stream: a record a row, and nothing that a stream claims is believed.

use std::sync::Arc;

use arrow::ipc::CompressionType;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow_array::builder::{Int32Builder, ListBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray, StructArray,
    TimestampMicrosecondArray,
};
use arrow_schema::{Field, Fields};
use reqwest::Method;
use serde_json::{Value, json};

use crate::place::{Place, Up, body, id};

const STREAM: &str = "application/vnd.apache.arrow.stream";

fn nested(fields: Vec<(&str, ArrayRef)>) -> ArrayRef {
    let names: Fields = fields.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    let arrays = fields.into_iter().map(|(_, array)| array).collect();
    Arc::new(StructArray::new(names, arrays, None))
}

fn batch(ids: Vec<String>, models: Vec<Option<&str>>, incomes: Vec<Option<i64>>) -> RecordBatch {
    let rows = ids.len();
    let mut history = ListBuilder::new(Int32Builder::new());
    for row in 0..rows {
        history.append_value([Some(row as i32), None]);
    }
    let purposes: DictionaryArray<Int32Type> = (0..rows).map(|row| Some(["car", "home"][row % 2])).collect();
    let model = nested(vec![
        ("name", Arc::new(StringArray::from(models))),
        ("version", Arc::new(StringArray::from(vec!["1"; rows]))),
    ]);
    let inputs = nested(vec![
        ("income", Arc::new(Int64Array::from(incomes))),
        ("purpose", Arc::new(purposes)),
        ("history", Arc::new(history.finish())),
    ]);
    let output = nested(vec![("score", Arc::new(Float64Array::from(vec![0.25; rows])))]);
    let time: ArrayRef =
        Arc::new(TimestampMicrosecondArray::from(vec![1_793_534_400_123_456; rows]).with_timezone("UTC"));
    let id: ArrayRef = Arc::new(StringArray::from(ids));
    RecordBatch::try_from_iter([("id", id), ("time", time), ("model", model), ("inputs", inputs), ("output", output)])
        .unwrap()
}

fn stream(batches: &[RecordBatch], compression: Option<CompressionType>) -> Vec<u8> {
    let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
    let schema = batches[0].schema();
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &schema, options).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.into_inner().unwrap()
}

impl Up {
    async fn post(&self, token: &str, bytes: Vec<u8>) -> (u16, Value) {
        let request = self.ask(Method::POST, "/v1/trails/default/records", token).header("content-type", STREAM);
        body(request.body(bytes).send().await.unwrap()).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_row_is_the_record_that_its_json_would_be() {
    let place = Place::with(&["default"]);
    let (writer, auditor) = (place.token("writer", "default"), place.token("auditor", "default"));
    let up = place.up().await;
    for (nth, compression) in
        [None, Some(CompressionType::ZSTD), Some(CompressionType::LZ4_FRAME)].into_iter().enumerate()
    {
        let first = nth as u32 * 10;
        let ids = (first..first + 4).map(id).collect();
        // A model has a name: the second row has none, and is no record.
        let models = vec![Some("credit-risk"), None, Some("credit-risk"), Some("credit-risk")];
        let one = batch(ids, models, vec![Some(1), Some(2), None, Some(4)]);
        let two = batch(vec![id(first + 5)], vec![Some("credit-risk")], vec![Some(5)]);
        let (status, told) = up.post(&writer, stream(&[one, two], compression)).await;
        let positions: Vec<&Value> =
            told["errors"].as_array().unwrap().iter().map(|error| &error["position"]).collect();
        assert_eq!(
            (status, told["receipts"].as_array().unwrap().len(), positions),
            (200, 4, vec![&json!(1)]),
            "{told}"
        );
        assert!(told["errors"][0]["error"]["detail"].as_str().unwrap().contains("model"), "{told}");
    }
    let read = async |number: u32| {
        up.json(&format!("/v1/trails/default/records/{}", id(number)), &auditor).await["record"].clone()
    };
    let record = read(0).await;
    assert_eq!(record["inputs"], json!({"income": 1, "purpose": "car", "history": [0, null]}));
    assert_eq!((&record["time"], &record["output"]), (&"2026-11-01T12:00:00.123456Z".into(), &json!({"score": 0.25})));
    // What is missing of a row is not a field of the record.
    assert_eq!(read(2).await["inputs"], json!({"purpose": "car", "history": [2, null]}));
    // The same as JSON is on record already: not a byte of it is another.
    let (status, told) = body(up.append("default", &writer, record.to_string()).await).await;
    assert_eq!((status, &told["receipts"][0]["again"]), (200, &true.into()), "{told}");
    up.down().await;
}

/// T24, I12: whatever the bytes are, there is an answer, and the server goes on.
#[tokio::test(flavor = "multi_thread")]
async fn no_stream_harms_the_server() {
    let place = Place::with(&["default"]);
    let writer = place.token("writer", "default");
    let mut config = place.config();
    (config.limits.batch_records_max, config.limits.unpacked_bytes_max) = (100, 4 << 20);
    let up = place.up_with(config).await;
    let whole = stream(&[batch(vec![id(0)], vec![Some("m")], vec![Some(1)])], Some(CompressionType::ZSTD));
    assert_eq!(up.post(&writer, whole.clone()).await.0, 200);
    // Cut and changed at every place: what comes is taken, refused or told by its position, and nothing breaks.
    for at in (0..whole.len()).step_by(7) {
        let (status, told) = up.post(&writer, whole[..at].to_vec()).await;
        assert!(matches!(status, 200 | 422), "cut at {at}: {status} {told}");
        let mut changed = whole.clone();
        changed[at] ^= 0x55;
        let (status, told) = up.post(&writer, changed).await;
        assert!(matches!(status, 200 | 413 | 422), "changed at {at}: {status} {told}");
    }
    // One long text behind a dictionary, said by every row.
    let long = "x".repeat(200_000);
    let said: DictionaryArray<Int32Type> = (0..90).map(|_| Some(long.as_str())).collect();
    let rows = batch((100..190).map(id).collect(), vec![Some("m"); 90], vec![Some(1); 90]);
    let mut columns: Vec<(&str, ArrayRef)> = vec![("context", nested(vec![("text", Arc::new(said))]))];
    let schema = rows.schema();
    let others =
        schema.fields().iter().zip(rows.columns()).map(|(field, column)| (field.name().as_str(), column.clone()));
    columns.extend(others);
    let bomb = stream(&[RecordBatch::try_from_iter(columns).unwrap()], None);
    assert!(bomb.len() < 1 << 20);
    let (status, told) = up.post(&writer, bomb).await;
    assert_eq!(status, 413, "{told}");
    assert!(told["detail"].as_str().unwrap().contains("unpacked_bytes_max"), "{told}");
    let many = batch((200..310).map(id).collect(), vec![Some("m"); 110], vec![Some(1); 110]);
    assert_eq!(up.post(&writer, stream(&[many], None)).await.0, 413);
    // Rows without columns, and a schema alone.
    let none = RecordBatch::try_from_iter([("nothing", Arc::new(arrow_array::NullArray::new(3)) as ArrayRef)]).unwrap();
    let (status, told) = up.post(&writer, stream(&[none], None)).await;
    assert_eq!((status, told["errors"].as_array().unwrap().len()), (422, 3), "{told}");
    let (status, told) = up.post(&writer, stream(&[batch(vec![], vec![], vec![])], None)).await;
    assert_eq!((status, &told["receipts"]), (200, &json!([])), "{told}");
    assert_eq!(up.post(&writer, whole).await.0, 200);
    up.down().await;
}
