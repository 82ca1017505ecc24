//! What Prometheus answered to `/api/v1/query_range` or `/api/v1/query`
//! (<https://prometheus.io/docs/prometheus/latest/querying/api/>).
//!
//! A sample of `increase(x[1h])` at 13:00 is of the hour before 13:00: a sample belongs to the interval that ends with
//! it, or that it lies in.

use serde::Deserialize;

use super::theirs::{Given, Labels, Refused, Theirs, TheirsError, model_label, version_label};

#[derive(Deserialize)]
struct Response {
    status: String,
    error: Option<String>,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "resultType")]
    kind: String,
    result: serde_json::Value,
}

#[derive(Deserialize)]
struct Series {
    metric: serde_json::Map<String, serde_json::Value>,
    #[serde(default)]
    values: Vec<(f64, String)>,
    value: Option<(f64, String)>,
}

pub(super) fn read(mut theirs: Theirs, json: &[u8], labels: &Labels) -> Result<Theirs, TheirsError> {
    let malformed =
        |error: serde_json::Error| TheirsError::Malformed(format!("it is no result of Prometheus: {error}"));
    let response: Response = serde_json::from_slice(json).map_err(malformed)?;
    if response.status != "success" {
        let why = response.error.unwrap_or_else(|| "no reason is given".to_owned());
        return Err(TheirsError::Malformed(format!("Prometheus says {:?}: {why}", response.status)));
    }
    let data = response.data.ok_or_else(|| TheirsError::Malformed("it holds no data".to_owned()))?;
    if !["matrix", "vector"].contains(&data.kind.as_str()) {
        return Err(TheirsError::Malformed(format!("its result is a {}, and not a matrix or vector", data.kind)));
    }
    let result: Vec<serde_json::Value> = serde_json::from_value(data.result).map_err(malformed)?;
    let (models, versions) = (model_label(labels), version_label(labels));
    let named = |metric: &serde_json::Map<_, serde_json::Value>, names: &[&str]| {
        names.iter().find_map(|name| metric.get(*name)?.as_str().map(str::to_owned))
    };
    let series: Vec<Result<Series, _>> = result.into_iter().map(serde_json::from_value).collect();
    let with_version = |series: &Series| named(&series.metric, &versions).is_some();
    let has_versions = series.iter().flatten().any(with_version);
    if has_versions {
        theirs.says_versions();
    }
    for (at, series) in (1..).zip(series) {
        let series: Series = match series {
            Ok(series) => series,
            Err(error) => {
                theirs.bad(at, format!("it is no series: {error}"));
                continue;
            }
        };
        let Some(model) = named(&series.metric, &models) else {
            theirs.bad(at, format!("it has no label {}", models.join(" or ")));
            continue;
        };
        let version = named(&series.metric, &versions);
        if has_versions && version.is_none() {
            theirs.bad(at, format!("it has no label {}", versions.join(" or ")));
            continue;
        }
        for (seconds, count) in series.values.iter().chain(&series.value) {
            match given(*seconds, count, &model, version.as_deref()).and_then(|given| theirs.add(&given)) {
                Ok(()) => {}
                Err(Refused::Row(reason)) => theirs.bad(at, reason),
                Err(Refused::All(error)) => return Err(error),
            }
        }
    }
    Ok(theirs)
}

fn given<'a>(seconds: f64, count: &str, model: &'a str, version: Option<&'a str>) -> Result<Given<'a>, Refused> {
    // A double holds a time of our days to less than a microsecond.
    let in_time = seconds.is_finite() && seconds.abs() < 9e9;
    if !in_time {
        return Err(format!("{seconds} is no time").into());
    }
    let ends_ns = ((seconds * 1e3).round() as i64).saturating_mul(1_000_000);
    let count = count.parse().map_err(|_| format!("{count:?} is no count"))?;
    Ok(Given { time_ns: ends_ns.saturating_sub(1), model, version, count })
}

#[cfg(test)]
mod tests {
    use super::super::By;
    use super::*;
    use crate::times::rfc3339;

    fn read(json: &str, labels: &Labels) -> Result<Theirs, TheirsError> {
        Theirs::read(json.as_bytes(), By::Hour, labels)
    }

    #[test]
    fn a_sample_is_of_the_hour_that_ends_with_it() {
        let json = r#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"mlmodel":"a","version":"1"},"values":[[1793534400,"12"],[1793538000,"7.5"]]},
            {"metric":{"version":"1"},"values":[[1793534400,"12"]]},
            {"metric":{"mlmodel":"a"},"values":[[1793534400,"12"]]},
            {"metric":{"mlmodel":"b","version":"1"},"values":[[1793534400,"NaN"]]},
            {"metric":7}]}}"#;
        let labels = Labels { model: Some("mlmodel".to_owned()), version: None };
        let theirs = read(json, &labels).unwrap();
        let counts: Vec<_> = theirs
            .counts()
            .iter()
            .map(|((start, model, version), count)| (rfc3339(*start), model.as_str(), version.as_deref(), *count))
            .collect();
        let wanted = [
            ("2026-11-01T11:00:00Z".to_owned(), "a", Some("1"), 12.0),
            ("2026-11-01T12:00:00Z".to_owned(), "a", Some("1"), 7.5),
        ];
        assert_eq!(counts, wanted);
        assert_eq!(theirs.bad_rows().iter().map(|bad| bad.line).collect::<Vec<_>>(), [2, 3, 4, 5]);
        let vector = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"model":"a"},"value":[1793534400,"3"]}]}}"#;
        assert_eq!(read(vector, &Labels::default()).unwrap().counts().len(), 1);
    }

    #[test]
    fn what_went_wrong_there_is_told_here() {
        let error = |json: &str| read(json, &Labels::default()).unwrap_err().to_string();
        assert!(error(r#"{"status":"error","error":"bad query"}"#).contains("bad query"));
        assert!(error(r#"{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}"#).contains("scalar"));
        assert!(error("{").starts_with("it is no result of Prometheus"));
    }
}
