//! Entries as one transaction: first who is refused, then the rows of all others at once.

use std::collections::HashSet;

use super::{Appended, Entry};
use crate::{
    decisions::{Runs, Taken},
    error::{LogError, Result},
    leases::Claims,
    log::Append,
    records::{Drafts, Place},
};

/// What an entry will be answered.
enum Plan {
    Refused(LogError),
    Decisions(Taken),
    Record(Place),
}

/// Writes entries within an append that the caller commits.
///
/// # Errors
/// The database's: nothing may be committed then.
pub(crate) async fn write(append: &mut Append, entries: &mut [Entry]) -> Result<Vec<Result<Appended>>> {
    let claims = Claims::of(append.db(), entries.iter().filter_map(Entry::fence)).await?;
    let digests: HashSet<_> = entries.iter().filter_map(run_of).collect();
    let mut runs = Runs::lock(append.db(), &digests).await?;
    let mut drafts = Drafts::find(append.db(), entries.iter().filter_map(id_of)).await?;
    let plans = plan(append, entries, &claims, &mut runs, &mut drafts).await?;

    runs.copy(append.db()).await?;
    if runs.restores() {
        append.has_written();
    }
    for (entry, plan) in entries.iter_mut().zip(&plans) {
        match (entry, plan) {
            (Entry::Decisions { batch, .. }, Plan::Decisions(taken)) if taken.recorded() > 0 => {
                let joined = batch.decisions.len() - taken.recorded() as usize;
                let hashes = &batch.leaf_hashes().await?[joined..];
                let head = append.add(hashes);
                runs.integrate(taken, hashes, head.root);
            }
            (Entry::Record { .. }, Plan::Record(Place::New(number))) => {
                let head = append.add(&[drafts.leaf_hash(*number)?]);
                drafts.integrate(*number, head.root);
            }
            _ => {}
        }
    }
    runs.save(append.db()).await?;
    drafts.save(append.db()).await?;

    let answers = plans.into_iter().map(|plan| match plan {
        Plan::Refused(refusal) => Ok(Err(refusal)),
        Plan::Decisions(taken) => Ok(Ok(Appended::Decisions(runs.receipts(taken)))),
        Plan::Record(place) => drafts.recorded(place).map(|recorded| Ok(Appended::Record(recorded))),
    });
    answers.collect()
}

/// Gives each entry its place, in order. Nothing of those that are refused has been written then.
async fn plan(
    append: &mut Append,
    entries: &mut [Entry],
    claims: &Claims,
    runs: &mut Runs,
    drafts: &mut Drafts,
) -> Result<Vec<Plan>> {
    // Whoever has no leaves is found out before anything is written of the others. Alone, the rows are written while the
    // leaves are still computed.
    let is_alone = entries.len() == 1;
    let mut next_index = append.next_index();
    let mut plans = Vec::with_capacity(entries.len());
    for entry in entries {
        if let Err(refusal) = claims.check(entry.fence()) {
            plans.push(Plan::Refused(refusal));
            continue;
        }
        let planned = match entry {
            Entry::Record { draft, now, .. } => drafts.place(draft, *now, next_index).map(|place| {
                next_index += u64::from(matches!(place, Place::New(_)));
                Plan::Record(place)
            }),
            Entry::Decisions { batch, fence } => {
                let hashed = if is_alone { Ok(()) } else { batch.leaf_hashes().await.map(|_| ()) };
                match hashed {
                    Err(refusal) => Err(refusal),
                    Ok(()) => runs.take(append.db(), batch, fence.as_ref(), next_index).await?.map(|taken| {
                        next_index += taken.recorded();
                        Plan::Decisions(taken)
                    }),
                }
            }
        };
        plans.push(planned.unwrap_or_else(Plan::Refused));
    }
    Ok(plans)
}

fn run_of(entry: &Entry) -> Option<api::Hash> {
    match entry {
        Entry::Decisions { batch, .. } => Some(batch.run),
        Entry::Record { .. } => None,
    }
}

fn id_of(entry: &Entry) -> Option<&str> {
    match entry {
        Entry::Record { draft, .. } => Some(draft.id()),
        Entry::Decisions { .. } => None,
    }
}
