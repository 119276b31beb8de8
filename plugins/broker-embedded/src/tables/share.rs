use micro_core::Result;
use micro_engine::Database;
use rusqlite::params;

/// Writes the state of a partition for its owner. False: it has another owner by now.
pub(crate) fn write(
    storage: &Database,
    (queue, partition): (i64, u32),
    (owner, epoch): (i64, i64),
    state: &[u8],
) -> Result<bool> {
    let sql = "UPDATE share SET state = ? WHERE queue = ? AND number = ? AND owner = ? AND epoch = ?";
    let written = storage
        .connection()
        .prepare_cached(sql)
        .and_then(|mut update| update.execute(params![state, queue, partition, owner, epoch]));
    Ok(written.map_err(|error| storage.failure("write the state of a queue", error))? > 0)
}

/// Writes the last state of a partition and frees it for the next owner. False: it has another owner by now.
pub(crate) fn free(
    storage: &Database,
    (queue, partition): (i64, u32),
    (owner, epoch): (i64, i64),
    state: &[u8],
) -> Result<bool> {
    let sql = "UPDATE share SET state = ?, owner = 0, epoch = epoch + 1
               WHERE queue = ? AND number = ? AND owner = ? AND epoch = ?";
    let written = storage
        .connection()
        .prepare_cached(sql)
        .and_then(|mut update| update.execute(params![state, queue, partition, owner, epoch]));
    Ok(written.map_err(|error| storage.failure("give a partition away", error))? > 0)
}
