//! Arranges drafts into the listed order: topological, ties by kind and name.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::action::{After, Needs, Rank, Step, StepId, Subject};
use super::draft::{Draft, Drafts};

/// Numbers the drafts so that each comes after those it comes after. Wishes are dropped where
/// they would close a circle, so that every draft is listed.
pub(super) fn arrange(drafts: Drafts) -> Vec<Step> {
    let mut list = drafts.into_list();
    let mut waiting: Vec<usize> = vec![0; list.len()];
    let mut followers: Vec<Vec<usize>> = vec![Vec::new(); list.len()];
    let mut left = 0;
    let exists: Vec<bool> = list.iter().map(Option::is_some).collect();
    for (index, draft) in list.iter_mut().enumerate() {
        let Some(draft) = draft else { continue };
        left += 1;
        draft
            .after
            .retain(|(before, _)| exists[*before] && *before != index);
        draft
            .wishes
            .retain(|(before, _)| exists[*before] && *before != index);
        for (before, _) in draft.after.iter().chain(&draft.wishes) {
            waiting[index] += 1;
            followers[*before].push(index);
        }
    }
    let ranks = ranks(&list);
    let mut ready: BinaryHeap<Reverse<(usize, usize)>> = (0..list.len())
        .filter(|index| exists[*index] && waiting[*index] == 0)
        .map(|index| Reverse((ranks[index], index)))
        .collect();
    let mut places: Vec<Option<StepId>> = vec![None; list.len()];
    let mut steps: Vec<Step> = Vec::with_capacity(left);
    loop {
        while let Some(Reverse((_, index))) = ready.pop() {
            for follower in std::mem::take(&mut followers[index]) {
                waiting[follower] = waiting[follower].saturating_sub(1);
                if waiting[follower] == 0 {
                    ready.push(Reverse((ranks[follower], follower)));
                }
            }
            let Some(draft) = list[index].take() else {
                continue;
            };
            let id = StepId(steps.len());
            places[index] = Some(id);
            let mut after: Vec<After> = draft
                .after
                .iter()
                .chain(&draft.wishes)
                .filter_map(|(before, needs)| {
                    Some(After {
                        step: places[*before]?,
                        needs: *needs,
                    })
                })
                .collect();
            after.sort_unstable();
            after.dedup_by_key(|edge| edge.step);
            steps.push(Step {
                id,
                action: draft.action,
                reason: draft.reason,
                after,
            });
        }
        // A circle: give up the open wishes of a draft in it, or, where it has none, everything. Each
        // round leaves fewer open edges, so it ends.
        let is_open = |(before, _): &(usize, Needs)| places[*before].is_none();
        let Some(index) = in_a_circle(&list, &followers).max_by_key(|index| {
            let wishes = list[*index].as_ref().map(|draft| &draft.wishes);
            wishes.map_or(0, |wishes| {
                wishes.iter().filter(|wish| is_open(wish)).count()
            })
        }) else {
            break;
        };
        if let Some(draft) = list[index].as_mut() {
            let edges = if draft.wishes.iter().any(is_open) {
                &mut draft.wishes
            } else {
                &mut draft.after
            };
            let given_up: Vec<usize> = edges
                .extract_if(.., |edge| is_open(edge))
                .map(|(before, _)| before)
                .collect();
            waiting[index] -= given_up.len();
            for before in given_up {
                // Whom it no longer waits for must not count for it either.
                if let Some(place) = followers[before].iter().position(|one| *one == index) {
                    followers[before].swap_remove(place);
                }
            }
        }
        if waiting[index] == 0 {
            ready.push(Reverse((ranks[index], index)));
        }
    }
    steps
}

/// The place of each draft in the order of kinds and names, which decides ties.
fn ranks(list: &[Option<Draft>]) -> Vec<usize> {
    let mut order: Vec<((Rank, Subject), usize)> = list
        .iter()
        .enumerate()
        .filter_map(|(index, draft)| {
            let action = &draft.as_ref()?.action;
            Some(((action.rank(), action.subject()), index))
        })
        .collect();
    // They come in runs by name, which a stable sort makes use of.
    order.sort();
    let mut ranks = vec![usize::MAX; list.len()];
    for (rank, (_, index)) in order.into_iter().enumerate() {
        ranks[index] = rank;
    }
    ranks
}

/// What is left and has somebody waiting for it who is left, over and over: the drafts in circles,
/// and those between two of them.
fn in_a_circle<'a>(
    list: &'a [Option<Draft>],
    followers: &'a [Vec<usize>],
) -> impl Iterator<Item = usize> + 'a {
    let left = |index: &usize| list[*index].is_some();
    let mut waited_for: Vec<usize> = followers
        .iter()
        .map(|all| all.iter().filter(|index| left(index)).count())
        .collect();
    let mut open: Vec<usize> = (0..list.len())
        .filter(|index| left(index) && waited_for[*index] == 0)
        .collect();
    while let Some(index) = open.pop() {
        let draft = list[index].as_ref();
        for (before, _) in draft
            .iter()
            .flat_map(|draft| draft.after.iter().chain(&draft.wishes))
        {
            if left(before) {
                waited_for[*before] = waited_for[*before].saturating_sub(1);
                if waited_for[*before] == 0 {
                    open.push(*before);
                }
            }
        }
    }
    (0..list.len()).filter(move |index| list[*index].is_some() && waited_for[*index] > 0)
}

/// Numbers steps anew after some were taken out; edges to those are dropped.
pub(super) fn renumber(steps: Vec<Step>) -> Vec<Step> {
    let places: BTreeMap<StepId, StepId> = steps
        .iter()
        .enumerate()
        .map(|(index, step)| (step.id, StepId(index)))
        .collect();
    steps
        .into_iter()
        .filter_map(|step| {
            let after = step
                .after
                .iter()
                .filter_map(|edge| {
                    Some(After {
                        step: *places.get(&edge.step)?,
                        needs: edge.needs,
                    })
                })
                .collect();
            Some(Step {
                id: *places.get(&step.id)?,
                after,
                ..step
            })
        })
        .collect()
}
