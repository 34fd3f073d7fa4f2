//! Every promise is broken on purpose, one at a time: the simulator must find it within so many seeds.

use ringkeep_shards::sabotage::Sabotage;
use simulator::{Broken, Plan, Trace, run};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The first seed that finds it, with what it says.
fn found(broken: Broken, seeds: u64) -> Option<(u64, String)> {
    (0..seeds).find_map(|seed| {
        let plan = Plan { load_ms: 6000, broken: Some(broken), ..Plan::of(seed) };
        match catch_unwind(AssertUnwindSafe(|| run(&plan, Trace::silent()))) {
            Ok(Ok(_)) => None,
            Ok(Err(wrong)) => Some((seed, wrong)),
            Err(_) => Some((seed, "the core panicked".to_owned())),
        }
    })
}

macro_rules! finds {
    ($($name:ident $broken:expr, $seeds:literal;)*) => {$(
        #[test]
        fn $name() {
            let found = found($broken, $seeds);
            let (seed, wrong) = found.unwrap_or_else(|| panic!("{:?} is not found within {} seeds", $broken, $seeds));
            println!("seed {seed}: {}", wrong.lines().next().unwrap_or_default());
        }
    )*};
}

finds! {
    replies_before_gates Broken::RepliesBeforeGates, 20;
    lost_reads_answered Broken::LostReadsAnswered, 300;
    lost_writes_acknowledged Broken::LostWritesAcknowledged, 100;
    writes_not_durable Broken::WritesNotDurable, 60;
    disk_goes_back Broken::DiskGoesBack, 20;
    no_fence Broken::Core(Sabotage::NoFence), 60;
    fence_joined_late Broken::Core(Sabotage::FenceJoinedLate), 400;
    uncommitted_reads Broken::Core(Sabotage::UncommittedReads), 60;
    term_not_undone Broken::Core(Sabotage::TermNotUndone), 20;
    loss_not_told Broken::Core(Sabotage::LossNotTold), 20;
    refused_not_undone Broken::Core(Sabotage::RefusedNotUndone), 60;
    no_validation Broken::Core(Sabotage::NoValidation), 20;
    reads_not_noted Broken::Core(Sabotage::ReadsNotNoted), 20;
    write_set_seen Broken::Core(Sabotage::WriteSetSeen), 20;
    raised_not_undone Broken::Core(Sabotage::RaisedNotUndone), 20;
    aside_not_undone Broken::Core(Sabotage::AsideNotUndone), 20;
    snapshot_reads_tip Broken::Core(Sabotage::SnapshotReadsTip), 20;
    no_versions Broken::Core(Sabotage::NoVersions), 20;
    commit_not_logged Broken::Core(Sabotage::CommitNotLogged), 20;
    own_writes_unseen Broken::Core(Sabotage::OwnWritesUnseen), 20;
}
