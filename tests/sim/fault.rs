//! What goes wrong, in storms with quiet between them.

use crate::network::Network;
use crate::world::{Event, World};
use ringkeep_shards::group::{Message, MessageType};
use ringkeep_shards::ids::ShardId;
use std::collections::BTreeSet;

/// Where the weather stands.
#[derive(Default)]
pub struct Weather {
    storm_until_us: u64,
    quiet_until_us: u64,
}

impl World {
    /// Something goes wrong, or it is quiet; the next time comes by itself.
    pub(crate) fn fault(&mut self) {
        let now = self.clock_us;
        if now >= self.weather.storm_until_us && now >= self.weather.quiet_until_us {
            if self.weather.storm_until_us > self.weather.quiet_until_us {
                self.weather.quiet_until_us = now + self.dice.within(1_000_000..4_000_000);
                self.calm("quiet");
            } else {
                self.weather.storm_until_us = now + self.dice.within(1_000_000..5_000_000);
            }
        }
        if now < self.weather.storm_until_us {
            self.strike();
        }
        let pause = self.dice.within(20_000..700_000);
        self.after(pause, Event::Fault);
    }

    fn strike(&mut self) {
        let faults = self.plan.faults;
        match self.dice.below(20) {
            0 | 1 if faults.network => {
                let node = self.any_node();
                self.tell(format_args!("node {node} is cut off"));
                self.network.isolate(node, self.plan.nodes);
            }
            2 if faults.network => {
                let (from, to) = (self.any_node(), self.any_node());
                self.tell(format_args!("nothing passes from {from} to {to}"));
                self.network.cut(from, to);
            }
            3 if faults.network => {
                let nodes = self.plan.nodes;
                let side: BTreeSet<u64> = (1..=nodes).filter(|_| self.dice.permille(500)).collect();
                self.tell(format_args!("the network splits: {side:?} on one side"));
                self.network.split(&side, nodes);
            }
            4 | 5 if faults.network => {
                self.tell(format_args!("links work again"));
                self.network.join();
            }
            6 if faults.network => {
                self.network.lost = self.dice.below(200);
                self.network.doubled = self.dice.below(200);
                self.network.delay_us = 400 + self.dice.below(40_000);
                let Network { lost, doubled, delay_us, .. } = self.network;
                self.tell(format_args!(
                    "of a thousand messages {lost} are lost and {doubled} doubled; they take up to {delay_us} us"
                ));
            }
            7 if faults.network => {
                let (node, us) = (self.any_node(), 1000 + self.dice.below(200_000));
                self.tell(format_args!("links of node {node} are slow by {us} us"));
                self.network.slow = Some((node, us));
            }
            8 if faults.process => {
                let node = self.any_node();
                self.crash_for_a_while(node);
            }
            9 if faults.process => {
                let (node, writes) = (self.any_node(), 1 + self.dice.below(30));
                self.tell(format_args!("node {node} will crash in its next log write but {}", writes - 1));
                self.node(node).crashes_in_write = writes;
            }
            10 if faults.process => {
                let (node, us) = (self.any_node(), self.dice.within(1_000..4_000_000));
                self.tell(format_args!("node {node} stands still for {us} us"));
                let until = self.clock_us + us;
                self.node(node).frozen_until_us = until;
            }
            11 if faults.process => {
                self.tell(format_args!("power is cut everywhere"));
                for node in 1..=self.plan.nodes {
                    if self.node(node).is_up {
                        self.crash(node);
                        let pause = self.dice.within(1_000..300_000);
                        self.after(pause, Event::Start(node));
                    }
                }
            }
            12 if faults.disk => {
                let (node, us) = (self.any_node(), self.dice.within(200..80_000));
                self.tell(format_args!("log writes of node {node} take up to {us} us"));
                self.node(node).write_us = us;
            }
            13 if faults.disk => {
                let node = self.any_node();
                let full = !self.node(node).members[0].disk.full;
                self.tell(format_args!("node {node} has {} space", if full { "no" } else { "some" }));
                self.node(node).members.iter_mut().for_each(|member| member.disk.full = full);
            }
            14 if faults.disk => {
                let node = self.any_node();
                self.node(node).members.iter_mut().for_each(|member| member.disk.forget());
            }
            15 if faults.clock => {
                let (node, skew) = (self.any_node(), self.dice.below(10_000) as i64 - 5000);
                self.tell(format_args!("the wall clock of node {node} is ahead by {skew} ms"));
                self.node(node).skew_ms = skew;
            }
            16 | 17 => {
                let shard = self.dice.below(self.plan.shards.into()) as u16;
                let to = self.any_node();
                let Some(from) = self.serving(shard).into_iter().find(|&node| node != to) else { return };
                self.tell(format_args!("shard {shard} of node {from} is to hand over to {to}"));
                let message =
                    Message { msg_type: MessageType::MsgTransferLeader, from: to, to: from, ..Message::default() };
                self.after(1, Event::Deliver(ShardId(shard), message));
            }
            _ => {
                let node = self.any_node();
                let shard = self.dice.below(self.plan.shards.into()) as usize;
                if let Some(shard) = &mut self.node(node).members[shard].shard {
                    shard.want_checkpoint();
                }
            }
        }
    }

    /// A node crashes, if it is up, and comes back.
    pub(crate) fn crash_for_a_while(&mut self, node: u64) {
        if self.node(node).is_up {
            self.crash(node);
            let pause = self.dice.within(10_000..1_500_000);
            self.after(pause, Event::Start(node));
        }
    }

    /// The network is fair again, disks are quick and have space. Who is down or stands still comes back by itself.
    pub(crate) fn calm(&mut self, why: &str) {
        self.tell(format_args!("{why}: all is mended"));
        self.network = Network::fair();
        for node in 1..=self.plan.nodes {
            let node = self.node(node);
            node.write_us = 200;
            node.members.iter_mut().for_each(|member| member.disk.full = false);
        }
    }

    fn any_node(&mut self) -> u64 {
        1 + self.dice.below(self.plan.nodes)
    }
}
