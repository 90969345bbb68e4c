"""Claims: what is compared, the aggregation from volumes to patients, and (later) the verdict."""
