//! Memory operands that resolve into the window, and a few that do not.

use iced_x86::{Instruction, OpKind, Register};

use super::Draft;
use crate::window::{SIZE, WINDOW};

/// The components of an address.
#[derive(Clone, Copy)]
struct AddressForm {
    /// Base and index registers by number.
    base: Option<u8>,
    index: Option<u8>,
    scale: u32,
    narrow: bool,
    rip: bool,
}

impl Draft<'_> {
    /// Fills in the memory operand; `absolute` for the forms with a 64-bit address and no ModRM.
    pub(super) fn memory_operand(&mut self, absolute: bool) {
        let form = self.form(absolute);
        let target = self.choose_target(&form);
        let segment = self.segment(target, &form);
        let base = self.segment_base(segment);
        let effective = target.wrapping_sub(base);
        self.instruction.set_segment_prefix(segment);
        self.target = target;
        self.effective = Some(effective);
        if absolute {
            let size = if form.narrow { 4 } else { 8 };
            set_displacement(&mut self.instruction, effective, size);
            return;
        }
        if form.rip {
            let register = if form.narrow { Register::EIP } else { Register::RIP };
            self.instruction.set_memory_base(register);
            set_displacement(&mut self.instruction, effective, if form.narrow { 4 } else { 8 });
            return;
        }
        self.resolve(form, effective);
    }

    fn form(&mut self, absolute: bool) -> AddressForm {
        let narrow = self.rng.one_in(7);
        if absolute {
            return AddressForm { base: None, index: None, scale: 1, narrow, rip: false };
        }
        let rip = self.rng.one_in(12);
        let base = (!rip && !self.rng.one_in(12)).then(|| self.rng.below(16) as u8);
        // RSP cannot be an index.
        let index = (!rip && self.rng.one_in(2)).then(|| self.rng.below(16) as u8);
        let index = index.filter(|&index| index != 4);
        let scale = 1 << self.rng.below(4);
        AddressForm { base, index, scale, narrow, rip }
    }

    /// Chooses a target: mostly aligned to something and in the window; else across its edge,
    /// beyond it, or not mapped.
    fn choose_target(&mut self, form: &AddressForm) -> u64 {
        let inside = WINDOW + self.rng.below(SIZE as u64 - 16);
        let free = form.base.is_some() && form.index.is_none() && !form.narrow;
        match self.rng.below(64) {
            0 => WINDOW + SIZE as u64 - self.rng.below(16),
            1 => WINDOW - self.rng.below(16),
            2 => WINDOW + SIZE as u64 + self.rng.below(0x1000),
            3 if free => 1 << 63 | inside,
            4 if free => 0x7fff_ffff_fff8 + self.rng.below(16),
            n if n < 40 => inside & !15,
            _ => inside,
        }
    }

    /// Chooses a segment prefix with which the address can still be formed.
    fn segment(&mut self, target: u64, form: &AddressForm) -> Register {
        // RSP must stay in the window, and a bit offset that is also the base near it.
        let offset = self.instruction.op_count() > 1
            && self.instruction.op1_kind() == OpKind::Register
            && form.base.is_some_and(|base| {
                self.instruction.op1_register().full_register() == Register::RAX + u32::from(base)
            });
        if offset || form.base == Some(4) {
            return Register::None;
        }
        let segment = match self.rng.below(16) {
            0 => Register::FS,
            1 | 2 => Register::GS,
            // Without effect in 64-bit mode.
            3 => self.rng.pick(&[Register::DS, Register::ES, Register::SS, Register::CS]),
            _ => return Register::None,
        };
        let effective = target.wrapping_sub(self.segment_base(segment));
        let reachable = if form.narrow {
            effective <= u64::from(u32::MAX) && form.base.is_some()
        } else {
            form.base.is_some() && form.index.is_none() || effective < 1 << 30
        };
        // The manuals require a canonical linear address; an AMD family 1AH also requires the
        // effective address to be canonical before the segment base is added.
        let canonical = matches!(effective.cast_signed() >> 47, 0 | -1);
        if reachable && canonical { segment } else { Register::None }
    }

    pub(super) fn segment_base(&self, segment: Register) -> u64 {
        match segment {
            Register::FS => self.host.fs_base,
            Register::GS => self.regs.gs_base,
            _ => 0,
        }
    }

    /// Chooses displacement and index, and puts the remainder into the base.
    fn resolve(&mut self, form: AddressForm, effective: u64) {
        let first = if form.narrow { Register::EAX } else { Register::RAX };
        let stack = form.base == Some(4);
        let displacement = match self.rng.below(4) {
            0 => 0,
            1 => i64::from(self.rng.bits() as i8),
            // RSP must stay near the window.
            _ if stack => i64::from(self.rng.bits() as i8),
            _ => i64::from(self.rng.value() as i32),
        };
        let same = form.base.is_some() && form.base == form.index;
        let small = same || form.base.is_none();
        if let Some(index) = form.index {
            let value = if small || stack { self.rng.below(0x100) } else { self.rng.value() };
            self.set_address_register(index, value, form.narrow);
        }
        let scaled = form.index.map_or(0, |index| {
            self.regs.gpr[usize::from(index)].wrapping_mul(u64::from(form.scale))
        });
        let missing = effective.wrapping_sub(scaled);
        let displacement = match form.base {
            Some(base) if !same => {
                let value = missing.wrapping_sub(displacement.cast_unsigned());
                self.set_address_register(base, value, form.narrow);
                displacement.cast_unsigned()
            }
            Some(base) => missing.wrapping_sub(self.regs.gpr[usize::from(base)]),
            None => missing,
        };
        let displacement = if form.narrow { displacement & 0xffff_ffff } else { displacement };
        let instruction = &mut self.instruction;
        if let Some(base) = form.base {
            instruction.set_memory_base(first + u32::from(base));
        }
        if let Some(index) = form.index {
            instruction.set_memory_index(first + u32::from(index));
        }
        instruction.set_memory_index_scale(form.scale);
        let absolute = form.base.is_none();
        let size = match (absolute, form.narrow) {
            (true, false) => 8,
            (true, true) => 4,
            (false, _) => 1,
        };
        set_displacement(instruction, displacement, size);
    }

    /// Sets a register of the address. With a 32-bit address its upper half has no effect: it is
    /// random.
    fn set_address_register(&mut self, register: u8, value: u64, narrow: bool) {
        let garbage = register != 4 && narrow && self.rng.one_in(2);
        let value = if narrow { value & 0xffff_ffff } else { value };
        let upper = if garbage { self.rng.bits() << 32 } else { 0 };
        self.regs.gpr[usize::from(register)] = value | upper;
    }

    /// Returns whether a branch lands on the INT3s; true for others. Through RSP it would execute
    /// the window.
    pub(super) fn lands(&self, instruction: &Instruction) -> bool {
        let branch = instruction.op_count() == 1 && instruction.op0_kind() == OpKind::NearBranch64;
        if branch {
            return crate::cpu::is_landing(instruction.near_branch64(), instruction.len());
        }
        let register = instruction.op_count() == 1 && instruction.op0_register() == Register::RSP;
        !(register && (instruction.is_jmp_near_indirect() || instruction.is_call_near_indirect()))
    }
}

fn set_displacement(instruction: &mut Instruction, displacement: u64, size: u32) {
    instruction.set_memory_displ_size(size);
    instruction.set_memory_displacement64(displacement);
}
