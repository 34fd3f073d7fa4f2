//! Steps of this core's shards, and what they ask for.

use crate::serve::local::Gated;
use crate::serve::message::Message;
use ringkeep_shards::port::Input;

use crate::serve::engine::{Engine, FOR_ENTRIES};

impl Engine {
    /// One input to a shard; what it asks for is queued.
    #[inline]
    pub fn step(&mut self, place: usize, input: Input<'_>) {
        let local = &mut self.shards[place];
        local.shard.step(self.now, input, &local.files, &mut self.outputs);
        if !local.touched {
            local.touched = true;
            self.touched.push(place);
        }
        if self.outputs.write.is_some()
            || self.outputs.open != local.open
            || self.outputs.lost.is_some()
            || self.outputs.cold_entry.is_some()
            || self.outputs.wants_housekeeping()
        {
            self.perform(place);
        }
    }

    pub(super) fn perform(&mut self, place: usize) {
        if let Some(write) = self.outputs.write.take() {
            self.shards[place].files.writes_to(write.segment);
            self.writes.push((place, write));
        }
        if self.outputs.wants_housekeeping() {
            self.keep_house(place);
        }
        if let Some(range) = self.outputs.cold_entry.take() {
            self.bring_in(place, range, FOR_ENTRIES + place as u64);
        }
        if let Some(lost) = self.outputs.lost.take() {
            self.take_back(place, lost);
        }
        let local = &mut self.shards[place];
        if self.outputs.open != local.open {
            local.open = self.outputs.open;
            for gated in local.release() {
                match gated {
                    Gated::Connection(socket) => self.released.push(socket),
                    Gated::Answer(ticket, answer) => self.outbox.push((ticket.core, Message::Answer(ticket, answer))),
                    Gated::Libraries(change) => self.hand_on(change),
                    Gated::Copied(core, number) => self.confirm((core, number)),
                }
            }
        }
    }

    /// The turn is over: shards that took inputs propose and write what they gathered.
    pub fn end_of_turn(&mut self) {
        while let Some(place) = self.touched.pop() {
            // A shard that is held keeps its batch open, and its mark, until it is free.
            if !self.shards[place].hold.is_held() {
                self.step_end(place);
            }
        }
    }

    pub(super) fn step_end(&mut self, place: usize) {
        let local = &mut self.shards[place];
        local.touched = true;
        local.shard.step(self.now, Input::EndOfTick, &local.files, &mut self.outputs);
        local.touched = false;
        self.perform(place);
        self.hurry(place);
    }

    /// Looks at a shard's end of turn without any other input (at start).
    pub fn touch(&mut self, place: usize) {
        if !self.shards[place].touched {
            self.shards[place].touched = true;
            self.touched.push(place);
        }
    }
}
