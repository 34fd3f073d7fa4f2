//! One shard's Raft group around `raft::RawNode`: the asynchronous ready loop, without I/O.
//!
//! ```text
//! propose ─► ready ─► records to write ─► (the log) ─► persisted ─► ready ─► committed entries
//!                 └─► messages to send now            └─► messages that waited for the disk
//! ```

use crate::group::storage::{GroupStorage, Wanted};
use crate::ids::{LogIndex, SegmentId, Term, Timestamp};
use crate::limits::{COMMITTED_BYTES_MAX, GROUP_INFLIGHT_MESSAGES_MAX, GROUP_MESSAGE_BYTES_MAX, UNCOMMITTED_BYTES_MAX};
use crate::log::{EntryPlaces, PendingRecord, RecordKind};
use bytes::Bytes;
use raft::eraftpb::{ConfState, Entry, EntryType, HardState, Message, MessageType, Snapshot};
use raft::{Config, RawNode, ReadOnlyOption, SnapshotStatus, StateRole};

/// Ticks without a leader before an election, at least; each is [`TICK_MS`].
const ELECTION_TICKS: usize = 10;
const HEARTBEAT_TICKS: usize = 2;
/// Milliseconds of one Raft tick.
pub const TICK_MS: u64 = 100;

/// What a group starts from: what recovery found.
#[derive(Clone, Debug)]
pub struct GroupStart {
    /// This member's number in the group.
    pub node: u64,
    /// The members.
    pub conf_state: ConfState,
    /// The hard state.
    pub hard_state: HardState,
    /// Index and term of the last entry that is applied to the keyspace.
    pub applied: (LogIndex, Term),
    /// The entries after it.
    pub entries: Vec<Entry>,
    /// Bytes of entries kept in memory once they are applied here, [`crate::limits::TAIL_BYTES_DEFAULT`] as a rule: members that lag further make the
    /// log be read.
    pub tail_bytes_max: usize,
}

/// Why a proposal was refused: nothing of it happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// This member does not lead in that term.
    NotLeader,
    /// Too much is uncommitted, or leadership is being handed over.
    Dropped,
}

/// What a turn of the ready loop brought.
#[derive(Default)]
pub struct GroupOutputs {
    /// Messages that may leave now.
    pub messages: Vec<Message>,
    /// Snapshots that Raft announces: each is to be sent, and then reported on.
    pub announced: Vec<Message>,
    /// Entries that are committed, in order; empty ones too.
    pub committed: Vec<Entry>,
    /// Read indexes that were confirmed: (context, index).
    pub confirmed: Vec<(u64, LogIndex)>,
}

/// One member of a Raft group.
pub struct Group {
    node: RawNode<GroupStorage>,
    /// What must be written before the messages in `held` may leave, with the number of the newest ready in it.
    records: Vec<PendingRecord>,
    held: Vec<(u64, Vec<Message>)>,
    ready: u64,
    writing: Option<u64>,
    /// A snapshot is taking the place of this member's state: the number of its ready, and its index.
    installing: Option<(u64, u64)>,
    tail_bytes_max: usize,
    hard_state: HardState,
    lone: bool,
    /// Ticks without a leader before this member stands for election, and the term that this was drawn for.
    election_ticks: usize,
    drawn_for: u64,
}

impl Group {
    /// A member that goes on from `start`. With one voter it campaigns at once.
    pub fn new(start: GroupStart) -> Self {
        let config = Config {
            id: start.node,
            election_tick: ELECTION_TICKS,
            heartbeat_tick: HEARTBEAT_TICKS,
            applied: start.applied.0.0,
            max_size_per_msg: GROUP_MESSAGE_BYTES_MAX,
            max_inflight_msgs: GROUP_INFLIGHT_MESSAGES_MAX,
            check_quorum: true,
            pre_vote: true,
            read_only_option: ReadOnlyOption::Safe,
            max_uncommitted_size: UNCOMMITTED_BYTES_MAX,
            max_committed_size_per_ready: COMMITTED_BYTES_MAX,
            ..Config::default()
        };
        let lone = start.conf_state.voters == [start.node];
        let mut hard_state = start.hard_state;
        let last = start.entries.last().map_or(start.applied.0.0, |entry| entry.index);
        // A torn write loses entries, not the hard state before them; with one voter everything that is there is committed.
        hard_state.commit = if lone { last } else { hard_state.commit.clamp(start.applied.0.0, last) };
        hard_state.term = hard_state.term.max(start.applied.1.0);
        let mut storage =
            GroupStorage::new(hard_state.clone(), start.conf_state, (start.applied.0.0, start.applied.1.0));
        storage.append(&start.entries);
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let mut node = RawNode::new(&config, storage, &logger).expect("the configuration is a constant");
        if lone {
            node.campaign().expect("a lone voter may campaign");
        }
        let drawn_for = node.raft.term;
        let mut group = Group {
            node,
            records: Vec::new(),
            held: Vec::new(),
            ready: 0,
            writing: None,
            installing: None,
            tail_bytes_max: start.tail_bytes_max,
            hard_state,
            lone,
            election_ticks: ELECTION_TICKS + start.node as usize % ELECTION_TICKS,
            drawn_for,
        };
        group.keep_election_ticks();
        group
    }

    /// Whether this member is the only voter.
    pub fn is_lone(&self) -> bool {
        self.lone
    }

    /// Whether this member leads.
    pub fn is_leader(&self) -> bool {
        self.node.raft.state == StateRole::Leader
    }

    /// Whether this member leads and is handing that over: what is proposed meanwhile is refused.
    pub fn hands_over(&self) -> bool {
        self.node.raft.lead_transferee.is_some()
    }

    /// The current term.
    pub fn term(&self) -> Term {
        Term(self.node.raft.term)
    }

    /// The member that leads, as far as this one knows.
    pub fn leader(&self) -> Option<u64> {
        (self.node.raft.leader_id != 0).then_some(self.node.raft.leader_id)
    }

    /// The committed index.
    pub fn commit(&self) -> LogIndex {
        LogIndex(self.node.raft.raft_log.committed)
    }

    /// The members.
    pub fn conf_state(&self) -> &ConfState {
        self.node.store().conf_state()
    }

    /// Proposes a batch as the leader of `term`; the index that its entry has.
    ///
    /// # Errors
    /// [`Refused`]; nothing of it happened.
    pub fn propose(&mut self, term: Term, body: Vec<u8>) -> Result<LogIndex, Refused> {
        if !self.is_leader() || self.term() != term {
            return Err(Refused::NotLeader);
        }
        self.node.propose(Vec::new(), body).map_err(|_| Refused::Dropped)?;
        Ok(LogIndex(self.node.raft.raft_log.last_index()))
    }

    /// Whether a batch of so many bytes would be taken beside what is proposed and not committed.
    pub fn has_room_for(&self, body_bytes: usize) -> bool {
        let uncommitted = self.node.raft.uncommitted_size();
        uncommitted == 0 || (uncommitted + body_bytes) as u64 <= UNCOMMITTED_BYTES_MAX
    }

    /// Asks the group whether this member still leads; `context` comes back in [`GroupOutputs::confirmed`].
    pub fn read_index(&mut self, context: u64) {
        self.node.read_index(context.to_le_bytes().to_vec());
    }

    // Snapshots.

    /// Whether a member needs entries that are not kept any more, and no snapshot is offered that would do. Said once.
    pub fn wants_snapshot(&self) -> bool {
        self.node.store().take_wants_snapshot()
    }

    /// Entries up to this index cannot be had any more: a snapshot must stand at it or beyond.
    pub fn snapshot_index_min(&self) -> LogIndex {
        LogIndex(self.node.store().reach().0)
    }

    /// Raft may announce a snapshot at this entry, with the members as `conf_state`; none ends that.
    pub fn offer_snapshot(&mut self, offer: Option<(LogIndex, Term, ConfState)>) {
        let offer = offer.map(|(index, term, conf_state)| {
            let mut snapshot = Snapshot::default();
            let metadata = snapshot.mut_metadata();
            metadata.index = index.0;
            metadata.term = term.0;
            *metadata.mut_conf_state() = conf_state;
            snapshot
        });
        self.node.mut_store().offer_snapshot(offer);
    }

    /// What became of a snapshot that was announced to `member`.
    pub fn report_snapshot(&mut self, member: u64, arrived: bool) {
        let status = if arrived { SnapshotStatus::Finish } else { SnapshotStatus::Failure };
        self.node.report_snapshot(member, status);
    }

    /// Everything that this `MsgSnapshot` announces is there: whether Raft agrees that it takes the place of this member's state.
    /// If so nothing may be written until [`Group::installed`].
    ///
    /// # Panics
    /// While something is being written, or waits to be.
    pub fn install(&mut self, announced: Message, outputs: &mut GroupOutputs) -> bool {
        assert!(self.records.is_empty() && self.writing.is_none(), "a snapshot is installed between writes");
        self.step(announced);
        self.turn(outputs);
        self.installing.is_some()
    }

    /// Whether a snapshot is taking the place of this member's state.
    pub fn is_installing(&self) -> bool {
        self.installing.is_some()
    }

    /// The snapshot has taken its place, durably.
    pub fn installed(&mut self, outputs: &mut GroupOutputs) {
        let (number, index) = self.installing.take().expect("a snapshot was being installed");
        self.node.on_persist_ready(number);
        self.node.advance_apply_to(index);
        if self.records.is_empty() {
            self.release(number, outputs);
        }
        self.turn(outputs);
    }

    /// Whether Raft would take a snapshot at this entry: it is not committed here yet.
    pub fn lacks(&self, index: LogIndex) -> bool {
        index.0 > self.node.raft.raft_log.committed
    }

    /// Takes a message of another member. Proposals that were forwarded are dropped: a leader proposes only what it computed.
    pub fn step(&mut self, message: Message) {
        if message.get_msg_type() != MessageType::MsgPropose {
            // What Raft refuses (a stale term, an unknown member) is as if it had been lost on the way.
            let _ = self.node.step(message);
            self.keep_election_ticks();
        }
    }

    /// One tick of [`TICK_MS`]. `entropy` sets the election timeout of a new term, so that a run is reproducible.
    pub fn tick(&mut self, entropy: u64) {
        self.node.tick();
        if self.drawn_for != self.node.raft.term {
            self.drawn_for = self.node.raft.term;
            self.election_ticks = ELECTION_TICKS + (entropy as usize) % ELECTION_TICKS;
        }
        self.keep_election_ticks();
    }

    /// The crate draws a timeout of its own at every change of role, from randomness that nobody can repeat: ours replaces it.
    fn keep_election_ticks(&mut self) {
        self.node.raft.set_randomized_election_timeout(self.election_ticks);
    }

    /// Whether [`Group::turn`] has something to do.
    pub fn has_work(&self) -> bool {
        self.node.has_ready()
    }

    /// Runs the ready loop until it has nothing more.
    pub fn turn(&mut self, outputs: &mut GroupOutputs) {
        while self.node.has_ready() {
            let mut ready = self.node.ready();
            self.ready = ready.number();
            let messages = ready.take_messages().into_iter();
            let (announced, messages): (Vec<_>, Vec<_>) =
                messages.partition(|message| message.get_msg_type() == MessageType::MsgSnapshot);
            outputs.announced.extend(announced);
            outputs.messages.extend(messages);
            let mut must_write = false;
            if ready.snapshot().get_metadata().index != 0 {
                let snapshot = ready.snapshot();
                self.node.mut_store().restore(snapshot);
                self.lone = snapshot.get_metadata().get_conf_state().voters == [self.node.raft.id];
                self.installing = Some((self.ready, snapshot.get_metadata().index));
            }
            if let Some(hard_state) = ready.hs() {
                let voted = hard_state.term != self.hard_state.term || hard_state.vote != self.hard_state.vote;
                self.hard_state = hard_state.clone();
                self.node.mut_store().set_hard_state(hard_state.clone());
                if voted {
                    // A commit alone needs no sync: it is found again.
                    self.records.push(hard_state_record(hard_state));
                    must_write = true;
                }
            }
            let entries = ready.take_entries();
            if !entries.is_empty() {
                must_write = true;
                self.records.extend(entries.iter().map(entry_record));
                self.node.mut_store().append(&entries);
            }
            let persisted = ready.take_persisted_messages();
            if !persisted.is_empty() {
                if must_write || !self.records.is_empty() || self.writing.is_some() || self.installing.is_some() {
                    self.held.push((self.ready, persisted));
                } else {
                    outputs.messages.extend(persisted);
                }
            }
            for state in ready.take_read_states() {
                if let Ok(context) = state.request_ctx.as_slice().try_into() {
                    outputs.confirmed.push((u64::from_le_bytes(context), LogIndex(state.index)));
                }
            }
            outputs.committed.append(&mut ready.take_committed_entries());
            self.node.advance_append_async(ready);
            if let Some(last) = outputs.committed.last() {
                let index = last.index;
                self.node.advance_apply_to(index);
                self.node.mut_store().compact(index, self.tail_bytes_max);
            }
        }
        if self.records.is_empty() && self.writing.is_none() && self.installing.is_none() {
            // Nothing is left to write; the crate would remember every turn until the next write.
            self.node.on_persist_ready(self.ready);
        }
    }

    // Entries in the log.

    /// Where the entries of the log lie, to be told of writes. A lone voter needs none of it.
    pub fn places_mut(&mut self) -> &mut EntryPlaces {
        self.node.mut_store().places_mut()
    }

    /// Where the entries of the log lie.
    pub fn places(&self) -> &EntryPlaces {
        self.node.store().places()
    }

    /// A file of the log goes.
    pub fn forget(&mut self, segment: SegmentId) {
        self.node.mut_store().forget(segment);
    }

    /// Entries that Raft wants and that must be read from the log: [`Group::fetched`] answers, or [`Group::put_back`].
    pub fn take_wanted(&mut self) -> Option<Wanted> {
        self.node.mut_store().take_wanted()
    }

    /// Whether there are such entries.
    pub fn has_wanted(&self) -> bool {
        self.node.store().has_wanted()
    }

    /// They cannot be read yet.
    pub fn put_back(&mut self, wanted: Wanted) {
        self.node.mut_store().put_back(wanted);
    }

    /// They were read; fewer than were wanted, maybe.
    pub fn fetched(&mut self, wanted: Wanted, entries: Vec<Entry>) {
        self.node.mut_store().set_fetched(entries);
        self.node.on_entries_fetched(wanted.context);
        self.node.mut_store().set_fetched(Vec::new());
    }

    /// The lowest entry that a member which answers may yet ask for.
    pub fn needed_from(&self) -> LogIndex {
        if !self.is_leader() {
            return LogIndex(u64::MAX);
        }
        let members =
            self.node.raft.prs().iter().filter(|(id, member)| **id != self.node.raft.id && member.recent_active);
        LogIndex(members.map(|(_, member)| member.matched.max(member.pending_snapshot) + 1).min().unwrap_or(u64::MAX))
    }

    /// The members, as a checkpoint keeps them.
    pub fn conf_state_bytes(&self) -> Vec<u8> {
        use protobuf::Message as _;
        self.conf_state().write_to_bytes().expect("a message without required fields can be written")
    }

    /// Applies a change of members that was committed.
    pub fn apply_members(&mut self, entry: &Entry) {
        use protobuf::Message as _;
        let mut change = raft::eraftpb::ConfChangeV2::default();
        if entry.get_entry_type() == EntryType::EntryConfChangeV2
            && change.merge_from_bytes(&entry.data).is_ok()
            && let Ok(conf_state) = self.node.apply_conf_change(&change)
        {
            self.lone = conf_state.voters == [self.node.raft.id];
            self.node.mut_store().set_conf_state(conf_state);
        }
    }

    /// What must be written next, as one atomic write. The caller writes all of it and then calls [`Group::persisted`].
    pub fn records(&self) -> &[PendingRecord] {
        &self.records
    }

    /// The records were handed to the log.
    pub fn writing(&mut self) {
        assert!(self.writing.is_none(), "one write in flight");
        self.records.clear();
        self.writing = Some(self.ready);
    }

    /// The write is durable.
    pub fn persisted(&mut self, outputs: &mut GroupOutputs) {
        let written = self.writing.take().expect("a write was in flight");
        // Turns after it that had nothing to write wait for no write of their own.
        let number = if self.records.is_empty() && self.installing.is_none() { self.ready } else { written };
        self.node.on_persist_ready(number);
        self.release(number, outputs);
        self.turn(outputs);
    }

    /// The readies up to this number are durable: what waited for them leaves.
    fn release(&mut self, number: u64, outputs: &mut GroupOutputs) {
        let held = std::mem::take(&mut self.held);
        for (ready, messages) in held {
            if ready <= number {
                outputs.messages.extend(messages);
            } else {
                self.held.push((ready, messages));
            }
        }
    }
}

fn entry_record(entry: &Entry) -> PendingRecord {
    let commit_ts = entry.data.first_chunk().map_or(Timestamp(0), |ts| Timestamp(u64::from_le_bytes(*ts)));
    PendingRecord {
        kind: RecordKind::Entry,
        flags: entry.entry_type as u8,
        term: Term(entry.term),
        index: LogIndex(entry.index),
        commit_ts,
        body: entry.data.clone(),
    }
}

fn hard_state_record(hard_state: &HardState) -> PendingRecord {
    PendingRecord {
        kind: RecordKind::HardState,
        flags: 0,
        term: Term(hard_state.term),
        index: LogIndex(0),
        commit_ts: Timestamp(0),
        body: Bytes::from(encode_hard_state(hard_state)),
    }
}

/// A hard state's bytes: term, vote and commit, 8 bytes each.
fn encode_hard_state(hard_state: &HardState) -> Vec<u8> {
    [hard_state.term, hard_state.vote, hard_state.commit].iter().flat_map(|n| n.to_le_bytes()).collect()
}

/// What [`encode_hard_state`] made; none for other bytes.
pub fn decode_hard_state(bytes: &[u8]) -> Option<HardState> {
    let number = |n: usize| Some(u64::from_le_bytes(*bytes.get(n * 8..)?.first_chunk()?));
    Some(HardState { term: number(0)?, vote: number(1)?, commit: number(2)?, ..HardState::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_one_batch_of_any_size_and_then_for_as_much_as_the_bound_says() {
        let conf_state = ConfState { voters: vec![1], ..ConfState::default() };
        let (hard_state, applied) = (HardState::default(), (LogIndex(0), Term(0)));
        let mut group =
            Group::new(GroupStart { node: 1, conf_state, hard_state, applied, entries: Vec::new(), tail_bytes_max: 0 });
        let mut outputs = GroupOutputs::default();
        let mut write = |group: &mut Group| {
            group.turn(&mut outputs);
            while !group.records().is_empty() {
                group.writing();
                group.persisted(&mut outputs);
            }
        };
        write(&mut group);
        let bound = UNCOMMITTED_BYTES_MAX as usize;
        assert!(group.has_room_for(2 * bound));
        group.propose(group.term(), vec![0; 1000]).unwrap();
        assert!(group.has_room_for(bound - 1000) && !group.has_room_for(bound - 999));
        write(&mut group);
        assert!(group.has_room_for(2 * bound), "what is committed takes none");
    }
}
