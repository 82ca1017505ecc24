//! `POST sample`: records for an auditor to look at, which nobody could choose. The body is the checkpoint that they hold.

use query::{SampleAsked, SampleError};

use crate::asked::Asked;
use crate::body;
use crate::filters;
use crate::problem::{self, Kind, Problem};
use crate::reading::Reading;
use crate::table::Answering;

/// Bytes of a checkpoint: a note of a few hundred, and as many signatures as anyone has.
const CHECKPOINT_BYTES_MAX: usize = 64 << 10;

/// Records of a sample, unless the caller says.
const SIZE: usize = 59;

/// Answers with the certificate.
pub fn sample(mut asked: Asked) -> Answering {
    Box::pin(async move {
        let filter = filters::read(&asked.query, asked.server.host.now_ns())?.condition()?;
        let n = asked.query.number("n", SIZE, query::SAMPLE_MAX)?;
        let nonce = asked.query.needed("nonce", "what the auditor said once they had the checkpoint")?.to_owned();
        let body = std::mem::take(asked.body.get_mut());
        let (limits, room) = (&asked.server.config.limits, &asked.server.room);
        let (checkpoint, held) = body::collect(body, &asked.headers, limits, room).await?;
        if checkpoint.len() > CHECKPOINT_BYTES_MAX {
            let what = format!(
                "the body is longer than the {CHECKPOINT_BYTES_MAX} bytes of a checkpoint; send the checkpoint alone"
            );
            return Err(Problem::new(Kind::TooLarge, what));
        }
        let question = format!("POST sample?{}\n{}", asked.query.told(), String::from_utf8_lossy(&checkpoint));
        let sample = SampleAsked { filter, n, nonce, checkpoint: checkpoint.to_vec() };
        let reading = Reading::begin(&asked, &question, None).await?;
        let answer = reading.document(move |view| {
            let _held = held;
            let certificate = view.sample(&sample)?;
            Ok::<_, Problem>((certificate.to_json(), certificate.chosen.len() as u64))
        });
        Ok(answer.await)
    })
}

impl From<SampleError> for Problem {
    fn from(error: SampleError) -> Self {
        let told = error.to_string();
        match error {
            SampleError::Query(error) => error.into(),
            SampleError::Size(_) => Problem::parameter("n", told),
            SampleError::Nonce => Problem::parameter("nonce", told),
            SampleError::Checkpoint(_) => {
                Problem::new(Kind::Malformed, told).hint("send the checkpoint of this trail that you kept, as it was")
            }
            SampleError::Cut { .. } | SampleError::Fork { .. } | SampleError::Changed { .. } => {
                problem::contradicted(&told)
            }
        }
    }
}
