//! The VMs of a shard: one that stands ready, those whose runs are set aside, and those that are being cleaned.
//!
//! A script runs in the VM that stands ready. If it outlives its slice it keeps that VM, and another takes the place: an idle one, or a
//! new one. At most [`PoolLimits::vms_max`] exist, and one of them always stands ready, so that a short script never waits for long ones.

use super::chunk::{Chunk, CompileError};
use super::functions::LibraryId;
use super::interrupt::Interrupt;
use super::lua::turn_jit_off;
use super::memory::{Memory, PoolMemory};
use super::source::Running;
use super::vm::Vm;
use std::rc::Rc;

/// Bounds of a [`Pool`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PoolLimits {
    /// Memory of one VM, in bytes.
    pub(super) vm_bytes_max: usize,
    /// Memory of all VMs, in bytes.
    pub(super) pool_bytes_max: usize,
    /// How many VMs there may be.
    pub(super) vms_max: usize,
    /// Whether scripts are compiled.
    pub(super) jit: bool,
}

/// Idle VMs that are kept; more are closed.
const IDLE_VMS_MAX: usize = 4;
/// Steps of garbage collection in one turn: some microseconds each.
const CLEANING_STEPS: usize = 32;

/// A VM by its place in the pool.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct VmId(pub(super) u32);

/// One VM, and what has been compiled in it.
pub(super) struct Slot {
    pub(super) vm: Vm,
    /// The compiled scripts, by their place in the engine's list.
    chunks: Vec<Option<Chunk>>,
    /// It is closed when its run has ended: what it has compiled is not valid any more.
    is_retired: bool,
}

/// A shard's VMs. It stays on its core.
pub(super) struct Pool {
    slots: Vec<Option<Slot>>,
    /// VMs that run nothing; the last one stands ready.
    idle: Vec<VmId>,
    /// VMs whose garbage is being collected before they are idle again, or closed.
    cleaning: Vec<VmId>,
    memory: Rc<PoolMemory>,
    limits: PoolLimits,
    slicer: Interrupt,
}

impl Pool {
    /// A pool with one VM. The error says why there is none.
    pub(super) fn new(limits: PoolLimits, slicer: Interrupt) -> Result<Self, String> {
        let memory = Rc::new(PoolMemory::new(limits.pool_bytes_max));
        let mut pool = Pool { slots: Vec::new(), idle: Vec::new(), cleaning: Vec::new(), memory, limits, slicer };
        pool.add()?;
        Ok(pool)
    }

    fn add(&mut self) -> Result<(), String> {
        let vm = Vm::new(Memory::new(self.limits.vm_bytes_max, self.memory.clone()), self.slicer.clone())?;
        if !self.limits.jit {
            // SAFETY: the VM is alive and runs nothing.
            unsafe { turn_jit_off(vm.state()) };
        }
        let slot = Some(Slot { vm, chunks: Vec::new(), is_retired: false });
        let free = self.slots.iter().position(Option::is_none);
        let place = match free {
            Some(place) => {
                self.slots[place] = slot;
                place
            }
            None => {
                self.slots.push(slot);
                self.slots.len() - 1
            }
        };
        self.idle.push(VmId(place as u32));
        Ok(())
    }

    /// The VM that stands ready.
    ///
    /// # Panics
    /// If the machine has no memory for a VM.
    pub(super) fn ready(&mut self) -> VmId {
        if self.memory.used_bytes() > self.limits.pool_bytes_max / 2 {
            self.make_room();
        }
        while let Some(&id) = self.idle.last() {
            let wants_cleaning = self.slot(id).vm.wants_cleaning();
            if !wants_cleaning && !self.keeps_too_much(id) {
                return id;
            }
            if wants_cleaning && self.count() >= self.limits.vms_max {
                self.slot_mut(id).vm.collect();
                continue;
            }
            self.idle.pop();
            if wants_cleaning {
                self.cleaning.push(id);
            } else {
                self.retire(id);
            }
        }
        if self.count() >= self.limits.vms_max {
            self.end_cleaning();
        }
        if self.idle.is_empty() {
            self.add().unwrap_or_else(|error| panic!("{error}"));
        }
        *self.idle.last().expect("there is one now")
    }

    /// Whether what a VM has compiled, and is no garbage, takes the place that a script may need: a new one compiles only what runs.
    fn keeps_too_much(&self, id: VmId) -> bool {
        let slot = self.slot(id);
        let bytes_max = self.limits.vm_bytes_max.min(self.limits.pool_bytes_max);
        slot.vm.room().memory.used_bytes() > bytes_max / 2
            && (slot.chunks.iter().any(Option::is_some) || slot.vm.has_libraries())
    }

    /// Garbage goes at once, and VMs that nobody needs now, as long as half of the memory is in use.
    fn make_room(&mut self) {
        self.end_cleaning();
        while self.idle.len() > 1 && self.memory.used_bytes() > self.limits.pool_bytes_max / 2 {
            let id = self.idle.remove(0);
            self.slots[id.0 as usize] = None;
        }
    }

    /// What is being cleaned is needed at once.
    fn end_cleaning(&mut self) {
        for id in std::mem::take(&mut self.cleaning) {
            if self.slot(id).is_retired {
                self.slots[id.0 as usize] = None;
            } else {
                self.slot_mut(id).vm.collect();
                self.idle.insert(0, id);
            }
        }
    }

    /// Whether the VM that stands ready may keep a run that is set aside: then another one takes its place.
    pub(super) fn may_keep(&self) -> bool {
        self.idle.len() > 1 || self.count() < self.limits.vms_max
    }

    /// The VM that stood ready has a run that is set aside.
    pub(super) fn keep(&mut self, id: VmId) {
        let ready = self.idle.pop();
        assert_eq!(ready, Some(id), "the VM that runs is the one that stands ready");
    }

    /// The run that was set aside in a VM has ended.
    pub(super) fn give_back(&mut self, id: VmId) {
        let slot = self.slot(id);
        if slot.is_retired || slot.vm.is_spent() || self.idle.len() >= IDLE_VMS_MAX {
            self.retire(id);
        } else {
            // Below the one that stands ready, whose compiled loops are warmer.
            self.idle.insert(0, id);
        }
    }

    /// A run in the VM that stands ready has ended: it is closed if it may be hurt.
    pub(super) fn settle(&mut self, id: VmId) {
        if self.slot(id).vm.is_spent() {
            self.idle.pop();
            self.retire(id);
        }
    }

    /// Closes a VM that runs nothing: piece by piece, if it holds much.
    fn retire(&mut self, id: VmId) {
        self.slot_mut(id).is_retired = true;
        if self.slot(id).vm.is_bloated() {
            self.cleaning.push(id);
        } else {
            self.slots[id.0 as usize] = None;
        }
    }

    /// Collects a slice of garbage, if there is any; whether there is more to do.
    pub(super) fn clean_some(&mut self) -> bool {
        if self.cleaning.is_empty() {
            let Some(bloated) = self.idle.iter().position(|&id| self.slot(id).vm.is_bloated()) else { return false };
            // It stays ready: a run that begins meanwhile goes on where the collection stands.
            let id = self.idle[bloated];
            return self.slot_mut(id).vm.clean_some(CLEANING_STEPS) || self.is_bloated();
        }
        let id = *self.cleaning.last().expect("it was just looked at");
        if self.slot_mut(id).vm.clean_some(CLEANING_STEPS) {
            return true;
        }
        self.cleaning.pop();
        if self.slot(id).is_retired {
            self.slots[id.0 as usize] = None;
        } else {
            self.idle.insert(0, id);
        }
        !self.cleaning.is_empty() || self.is_bloated()
    }

    /// Whether an idle VM holds much garbage, or one is being cleaned.
    pub(super) fn wants_cleaning(&self) -> bool {
        !self.cleaning.is_empty() || self.is_bloated()
    }

    fn is_bloated(&self) -> bool {
        self.idle.iter().any(|&id| self.slot(id).vm.is_bloated())
    }

    /// The compiled script in a VM: the one at this place of the engine's list, which has this text.
    pub(super) fn chunk(&mut self, id: VmId, script: u32, text: &[u8]) -> Result<Chunk, CompileError> {
        let slot = self.slot_mut(id);
        let place = script as usize;
        if let Some(Some(chunk)) = slot.chunks.get(place) {
            return Ok(*chunk);
        }
        let chunk = slot.vm.compile(text, c"@user_script")?;
        if slot.chunks.len() <= place {
            slot.chunks.resize(place + 1, None);
        }
        slot.chunks[place] = Some(chunk);
        Ok(chunk)
    }

    /// The compiled script in a VM, if it is there.
    #[inline]
    pub(super) fn compiled(&self, id: VmId, script: u32) -> Option<Chunk> {
        self.slot(id).chunks.get(script as usize).copied().flatten()
    }

    /// The script at this place of the engine's list is forgotten.
    pub(super) fn forget(&mut self, script: u32) {
        for slot in self.slots.iter_mut().flatten() {
            let Some(chunk) = slot.chunks.get_mut(script as usize).and_then(Option::take) else { continue };
            if slot.vm.is_aside() {
                slot.is_retired = true;
            } else {
                slot.vm.release(chunk);
            }
        }
    }

    /// All scripts are forgotten.
    pub(super) fn forget_all(&mut self) {
        for slot in self.slots.iter_mut().flatten() {
            let chunks = std::mem::take(&mut slot.chunks);
            if slot.vm.is_aside() {
                slot.is_retired = true;
                continue;
            }
            for chunk in chunks.into_iter().flatten() {
                slot.vm.release(chunk);
            }
            slot.vm.forget_floor();
        }
    }

    /// A library is forgotten: its callbacks go in every VM that has loaded it.
    pub(super) fn forget_library(&mut self, library: LibraryId) {
        for slot in self.slots.iter_mut().flatten() {
            if !slot.vm.has_loaded(library) {
                continue;
            }
            if slot.vm.is_aside() {
                slot.is_retired = true;
            } else {
                slot.vm.forget(library);
            }
        }
    }

    pub(super) fn vm(&mut self, id: VmId) -> &mut Vm {
        &mut self.slot_mut(id).vm
    }

    /// Whether the slice under way is over.
    pub(super) fn slice_is_over(&self) -> bool {
        self.slicer.is_over()
    }

    /// What runs in a VM.
    pub(super) fn running(&self, id: VmId) -> Option<Running> {
        self.slot(id).vm.running()
    }

    /// How many VMs there are.
    pub(super) fn count(&self) -> usize {
        self.slots.iter().flatten().count()
    }

    /// Bytes that all VMs hold.
    pub(super) fn memory_bytes(&self) -> usize {
        self.memory.used_bytes()
    }

    /// Changes what all VMs may hold.
    pub(super) fn set_memory_bytes_max(&mut self, bytes: usize) {
        self.limits.pool_bytes_max = bytes;
        self.memory.set_limit(bytes);
    }

    /// Stops runs in the VM that stands ready at their so many-th look at the flag; `None`: never.
    #[cfg(test)]
    pub(super) fn stop_at_look(&self, looks: Option<usize>) {
        let ready = *self.idle.last().expect("one stands ready");
        self.slot(ready).vm.room().looks_left.set(looks);
    }

    fn slot(&self, id: VmId) -> &Slot {
        self.slots[id.0 as usize].as_ref().expect("an id names a VM that is there")
    }

    fn slot_mut(&mut self, id: VmId) -> &mut Slot {
        self.slots[id.0 as usize].as_mut().expect("an id names a VM that is there")
    }
}
