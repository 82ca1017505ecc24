//! Figures of a trail: what is missing of it, how it compares to others' counts, groups, and samples.

mod gaps;
mod groups;
mod reconcile;
mod sample;
