//! The needs of single mnemonics, so that most of their instances have an effect.

use iced_x86::{Code, Mnemonic as M, OpKind, Register};
use x86::{RAX, RBP, RCX, RDI, RDX, RSI, RSP, flags};

use super::Draft;
use crate::cpu::{IP, is_landing};
use crate::stub::TEST_PAGE;
use crate::window::{SIZE, WINDOW};

impl Draft<'_> {
    /// Biases registers and memory towards interesting values.
    pub(super) fn specialise(&mut self) {
        self.fill_target();
        match self.instruction.mnemonic() {
            _ if self.instruction.is_string_instruction() => self.strings(),
            M::Div | M::Idiv => self.division(),
            M::Bt | M::Bts | M::Btr | M::Btc => self.bit_offset(),
            M::Cmpxchg | M::Cmpxchg8b | M::Cmpxchg16b => self.comparand(),
            M::Bextr | M::Bzhi => self.bit_field(),
            M::Loop | M::Loope | M::Loopne | M::Jrcxz | M::Jecxz => self.counter(),
            M::Rol
            | M::Ror
            | M::Rcl
            | M::Rcr
            | M::Shl
            | M::Sal
            | M::Shr
            | M::Sar
            | M::Shld
            | M::Shrd => self.count(),
            M::Psllw
            | M::Pslld
            | M::Psllq
            | M::Psrlw
            | M::Psrld
            | M::Psrlq
            | M::Psraw
            | M::Psrad => self.vector_count(),
            M::Ret => self.return_address(),
            M::Call | M::Jmp => self.branch_operand(),
            M::Leave => {
                self.regs.gpr[RBP] = WINDOW + self.rng.below(SIZE as u64 - 16);
            }
            M::Enter => {
                let level = self.rng.pick(&[0, 1, 32, 33]);
                self.instruction.set_immediate8_2nd(level);
                self.instruction.set_immediate16(self.rng.below(0x400) as u16);
            }
            M::Popf | M::Popfq => self.flags_image(),
            M::Wrgsbase | M::Wrfsbase => self.segment_base_value(),
            _ => {}
        }
        self.lock();
    }

    /// Puts fresh operand values into memory, so that it does not only hold the results of
    /// instructions.
    fn fill_target(&mut self) {
        if self.effective.is_some() {
            let value = self.rng.vector().to_le_bytes();
            let at = self.target;
            self.poke(at, &value);
            if self.rng.one_in(4) {
                let value = self.rng.value().to_le_bytes();
                self.poke(at, &value);
            }
        }
    }

    /// Returns whether the register can be given another value: it is neither RSP nor part of an
    /// address.
    fn is_free(&self, register: Register) -> bool {
        let full = register.full_register();
        let used = [self.instruction.memory_base(), self.instruction.memory_index()];
        full != Register::RSP && used.iter().all(|used| used.full_register() != full)
    }

    fn lock(&mut self) {
        let lockable = self.instruction.code().op_code().can_use_lock_prefix();
        if lockable && self.instruction.op0_kind() == OpKind::Memory && self.rng.one_in(3) {
            self.instruction.set_has_lock_prefix(true);
        }
    }

    fn strings(&mut self) {
        let narrow = (0..self.instruction.op_count()).any(|i| {
            matches!(self.instruction.op_kind(i), OpKind::MemorySegESI | OpKind::MemoryESEDI)
        });
        let repeated = !self.rng.one_in(3);
        if repeated {
            // F2 repeats MOVS, STOS and LODS as F3 does.
            if self.rng.one_in(2) {
                self.instruction.set_has_rep_prefix(true);
            } else {
                self.instruction.set_has_repne_prefix(true);
            }
            self.regs.gpr[RCX] = match self.rng.below(16) {
                0 => 300,
                1 | 2 => 0,
                _ => self.rng.below(12),
            };
        }
        let source = self.string_address();
        let destination = if self.rng.one_in(3) {
            // Overlapping.
            source.wrapping_add(self.rng.below(32)).wrapping_sub(16)
        } else {
            self.string_address()
        };
        self.alike(source, destination);
        let segment = self.string_segment(source, narrow);
        self.instruction.set_segment_prefix(segment);
        self.regs.gpr[RSI] = source.wrapping_sub(self.segment_base(segment));
        self.regs.gpr[RDI] = destination;
        if narrow {
            for register in [RCX, RSI, RDI] {
                if self.rng.one_in(2) {
                    self.regs.gpr[register] |= self.rng.bits() << 32;
                }
            }
        }
    }

    /// Chooses an address, mostly far from the edges.
    fn string_address(&mut self) -> u64 {
        match self.rng.below(16) {
            0 => WINDOW + SIZE as u64 - self.rng.below(64),
            1 => WINDOW + self.rng.below(64),
            _ => WINDOW + 0x800 + self.rng.below(0x1000),
        }
    }

    fn string_segment(&mut self, source: u64, narrow: bool) -> Register {
        let reads = (0..self.instruction.op_count()).any(|i| {
            matches!(self.instruction.op_kind(i), OpKind::MemorySegESI | OpKind::MemorySegRSI)
        });
        let segment = self.rng.pick(&[Register::None, Register::None, Register::FS, Register::GS]);
        let far = source.wrapping_sub(self.segment_base(segment)) > u64::from(u32::MAX);
        if !reads || narrow && far { Register::None } else { segment }
    }

    /// Makes source, destination and accumulator equal for a while, or from two values only.
    fn alike(&mut self, source: u64, destination: u64) {
        let byte = self.rng.bits() as u8;
        if self.rng.one_in(3) {
            return;
        }
        let len = self.rng.below(80) as usize;
        for address in [source, destination] {
            // Below too: DF may be set.
            self.poke(address.wrapping_sub(len as u64), &vec![byte; 2 * len]);
        }
        self.regs.gpr[RAX] = u64::from_le_bytes([byte; 8]);
        if self.rng.one_in(2) {
            let odd = destination.wrapping_add(self.rng.below(24));
            self.poke(odd, &[byte ^ 1]);
        }
    }

    /// Chooses quotients that fit, half of the time.
    fn division(&mut self) {
        let negative = self.regs.gpr[RAX].cast_signed() < 0;
        if self.is_free(Register::RDX) {
            match self.rng.below(4) {
                0 => self.regs.gpr[RDX] = 0,
                1 => self.regs.gpr[RDX] = if negative { u64::MAX } else { 0 },
                2 => self.regs.gpr[RDX] = self.rng.below(16),
                _ => {}
            }
        }
        let byte = matches!(self.instruction.code(), Code::Div_rm8 | Code::Idiv_rm8);
        if byte && self.is_free(Register::RAX) && self.rng.one_in(2) {
            // AX is the dividend.
            let dividend = i64::from(self.rng.bits() as i8);
            self.regs.gpr[RAX] = dividend.cast_unsigned() & 0xffff;
        }
    }

    /// Chooses an offset in a register that stays near the operand.
    fn bit_offset(&mut self) {
        let Some(effective) = self.effective else { return };
        if self.instruction.op1_kind() != OpKind::Register || effective == 0 {
            return;
        }
        let register = self.instruction.op1_register().full_register();
        if !self.is_free(register) {
            return;
        }
        let bits = self.rng.below(0x8000).cast_signed() - 0x4000;
        self.regs.gpr[register.number()] = bits.cast_unsigned();
    }

    /// Makes the accumulator equal to the destination, half of the time.
    fn comparand(&mut self) {
        if self.rng.one_in(2) {
            return;
        }
        let at = self.target;
        match self.instruction.op0_kind() {
            OpKind::Memory if self.instruction.mnemonic() == M::Cmpxchg8b => {
                let pair = self.regs.gpr[RDX] << 32 | self.regs.gpr[RAX] & 0xffff_ffff;
                self.poke(at, &pair.to_le_bytes());
            }
            OpKind::Memory => {
                let low = self.regs.gpr[RAX].to_le_bytes();
                self.poke(at, &low);
                if self.instruction.mnemonic() == M::Cmpxchg16b {
                    let high = self.regs.gpr[RDX].to_le_bytes();
                    self.poke(at.wrapping_add(8), &high);
                }
            }
            _ => {
                let register = self.instruction.op0_register().full_register().number();
                // Upper halves differ: their treatment is tested.
                let upper = self.rng.bits() << 32;
                let value = self.regs.gpr[register];
                self.regs.gpr[RAX] = if self.rng.one_in(2) { value } else { value ^ upper };
            }
        }
    }

    fn bit_field(&mut self) {
        let control = self.instruction.op2_register().full_register();
        if !self.is_free(control) {
            return;
        }
        let (start, length) = (self.rng.below(80), self.rng.below(80));
        let garbage = self.rng.bits() << 16;
        self.regs.gpr[control.number()] = garbage | length << 8 | start;
    }

    fn counter(&mut self) {
        let garbage = self.rng.bits() << 32;
        let narrow = matches!(
            self.instruction.code(),
            Code::Jecxz_rel8_64
                | Code::Loop_rel8_64_ECX
                | Code::Loope_rel8_64_ECX
                | Code::Loopne_rel8_64_ECX
        );
        let count = self.rng.below(3);
        self.regs.gpr[RCX] = if narrow { garbage | count } else { count };
    }

    fn count(&mut self) {
        // CL, unless it forms an address.
        if self.is_free(Register::RCX) && self.rng.one_in(2) {
            let count = self.rng.below(70);
            self.regs.gpr[RCX] = self.regs.gpr[RCX] & !0xff | count;
        }
    }

    fn vector_count(&mut self) {
        let count = u128::from(self.rng.below(70));
        if self.effective.is_some() {
            let at = self.target;
            self.poke(at, &count.to_le_bytes());
        } else if self.instruction.op1_kind() == OpKind::Register && self.rng.one_in(2) {
            let register = self.instruction.op1_register().number();
            self.regs.xmm[register] = count;
        }
    }

    /// Chooses an address on the test page outside the instruction, or rarely one that is not
    /// canonical.
    ///
    /// Never the latter for a call that cannot push: processors differ in the fault that they
    /// report.
    fn landing(&mut self) -> u64 {
        let room = self.regs.gpr[RSP].wrapping_sub(WINDOW + 8) <= SIZE as u64 - 8;
        if room && self.rng.one_in(32) {
            return self.rng.pick(&[1 << 63, 1 << 47, 0x8000_0000_0000 | IP, 0xffff << 40]);
        }
        loop {
            let target = TEST_PAGE + self.rng.below(0x1000);
            if is_landing(target, x86::MAX_LEN) {
                return target;
            }
        }
    }

    pub(super) fn branch(&mut self, i: u32, short: bool) {
        self.instruction.set_op_kind(i, OpKind::NearBranch64);
        let near = IP + self.rng.below(256) - 126;
        let target = if short { near } else { TEST_PAGE + self.rng.below(0x1000) };
        self.instruction.set_near_branch64(target);
    }

    fn return_address(&mut self) {
        let target = self.landing();
        let top = self.regs.gpr[RSP];
        self.poke(top, &target.to_le_bytes());
    }

    /// Chooses the target of an indirect jump or call.
    fn branch_operand(&mut self) {
        let target = self.landing();
        match self.instruction.op0_kind() {
            OpKind::Memory => {
                let at = self.target;
                self.poke(at, &target.to_le_bytes());
            }
            OpKind::Register => {
                let register = self.instruction.op0_register();
                self.regs.gpr[register.number()] = target;
            }
            _ => {}
        }
    }

    /// Chooses flags, without those that the kernel would notice; a user program cannot change IF
    /// and IOPL.
    fn flags_image(&mut self) {
        let kept = flags::TF | flags::IOPL | flags::NT | flags::AC | flags::VM;
        let image = self.rng.bits() & !kept | flags::IF;
        let top = self.regs.gpr[RSP];
        self.poke(top, &image.to_le_bytes());
    }

    /// Chooses a base that is canonical, or not even at 57 bits: between the two, processors
    /// differ.
    fn segment_base_value(&mut self) {
        let register = self.instruction.op0_register().full_register().number();
        let value = self.rng.bits();
        let canonical = ((value << 16).cast_signed() >> 16).cast_unsigned();
        self.regs.gpr[register] = if self.rng.one_in(3) { canonical ^ 1 << 62 } else { canonical };
    }
}
