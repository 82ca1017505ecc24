//! The rows of an answer, as they come.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt as _;

use crate::census::Deadline;
use crate::engine::Shared;
use crate::error::QueryError;
use crate::limits::Limits;
use crate::notes::Notes;

/// The answer to a query: batches of rows, in order, and what is to be said beside them once they are all there.
///
/// It holds the snapshot that it is read from, until it is dropped.
pub struct Answer {
    schema: SchemaRef,
    rows: Rows,
    notes: Arc<Notes>,
    /// Rows given so far.
    given: usize,
    /// Rows that it may have.
    rows_max: usize,
    cut: bool,
}

enum Rows {
    Ready(Option<RecordBatch>),
    Coming { shared: Arc<Shared>, limits: Limits, stream: SendableRecordBatchStream, deadline: Deadline },
    Ended,
}

impl Answer {
    /// An answer that is there already, so that it is written as every other one is.
    pub fn of_rows(batch: RecordBatch) -> Self {
        Self::ready(batch.schema(), batch)
    }

    pub(crate) fn ready(schema: SchemaRef, batch: RecordBatch) -> Self {
        Answer {
            schema,
            rows: Rows::Ready(Some(batch)),
            notes: Arc::default(),
            given: 0,
            rows_max: usize::MAX,
            cut: false,
        }
    }

    pub(crate) fn of(
        shared: Arc<Shared>,
        limits: Limits,
        stream: SendableRecordBatchStream,
        deadline: Deadline,
        notes: Arc<Notes>,
    ) -> Self {
        let schema = stream.schema();
        let rows_max = limits.rows;
        Answer {
            schema,
            rows: Rows::Coming { shared, limits, stream, deadline },
            notes,
            given: 0,
            rows_max,
            cut: false,
        }
    }

    /// The same without a limit on rows, for who keeps none of them.
    pub(crate) fn with_every_row(self) -> Self {
        Answer { rows_max: usize::MAX, ..self }
    }

    /// The columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Rows given so far.
    pub fn rows(&self) -> usize {
        self.given
    }

    /// Whether there are more rows than the limit lets through.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// What to know beside the rows; complete once they are all there.
    pub fn notes(&self) -> Vec<String> {
        self.notes.list()
    }

    fn step(&mut self) -> Result<Option<RecordBatch>, QueryError> {
        let (shared, limits, stream, deadline) = match &mut self.rows {
            Rows::Ready(batch) => return Ok(batch.take()),
            Rows::Ended => return Ok(None),
            Rows::Coming { shared, limits, stream, deadline } => (shared, *limits, stream, deadline),
        };
        let next = async {
            match tokio::time::timeout(deadline.left(), stream.next()).await {
                Err(_) => Err(QueryError::out_of_time(deadline.limit)),
                Ok(None) => Ok(None),
                Ok(Some(batch)) => batch.map(Some).map_err(|error| QueryError::of(error, &limits)),
            }
        };
        let Some(batch) = shared.wait(next)? else { return Ok(None) };
        let room = self.rows_max - self.given;
        if batch.num_rows() > room {
            self.cut = true;
            self.given = self.rows_max;
            return Ok(Some(batch.slice(0, room)).filter(|batch| batch.num_rows() > 0));
        }
        self.given += batch.num_rows();
        Ok(Some(batch))
    }
}

impl Iterator for Answer {
    type Item = Result<RecordBatch, QueryError>;

    /// The next rows; nothing more comes after an error, or behind a cut.
    fn next(&mut self) -> Option<Self::Item> {
        if self.cut {
            return None;
        }
        let step = self.step();
        if let Ok(Some(batch)) = &step
            && matches!(self.rows, Rows::Ready(_))
        {
            self.given = batch.num_rows();
        }
        if !matches!(step, Ok(Some(_))) {
            self.rows = Rows::Ended;
        }
        step.transpose()
    }
}
