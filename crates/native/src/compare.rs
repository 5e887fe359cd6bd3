//! The comparison of the interpreter with the processor.

use std::fmt;

use iced_x86::{Code, Instruction, Mnemonic, OpKind, Register, RflagsBits};
use x86::{GPR_NAMES, Lowered, RCX, RSP, Regs, flags};

use crate::cpu::{Cpu, IP, Observed};
use crate::generate::{Host, Instance, instances};
use crate::rng::Rng;
use crate::scope::{exclusion, missing_feature};
use crate::window::{SIZE, WINDOW, Window};

/// The result of the comparison for one form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// All instances agree.
    Covered {
        /// Number of instances run.
        instances: u32,
        /// Number of instances that faulted (on both sides).
        faults: u32,
    },
    /// The form cannot be run in a user program.
    Excluded {
        /// The reason.
        reason: &'static str,
    },
    /// This processor lacks the form.
    Skipped {
        /// The missing CPUID feature, by iced's name.
        feature: String,
    },
}

/// An instance with different results on the two sides.
#[derive(Clone, Debug)]
pub struct Mismatch {
    /// The form.
    pub code: Code,
    /// The differences, one line each.
    pub differences: Vec<String>,
    /// The instance; `None` if none could be made.
    pub instance: Option<Box<Instance>>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.code)?;
        let Some(instance) = &self.instance else {
            return write!(f, ": {}", self.differences.join("; "));
        };
        let text = x86::disassemble(&instance.bytes, IP);
        writeln!(f, ": {:02x?}  {text}", instance.bytes)?;
        let before = &instance.regs;
        for (name, value) in GPR_NAMES.iter().zip(before.gpr) {
            writeln!(f, "    {name:<6} {value:016x}")?;
        }
        writeln!(f, "    rip    {:016x}  rflags {:08x}", before.rip, before.rflags)?;
        writeln!(f, "    fs     {:016x}  gs {:016x}", before.fs_base, before.gs_base)?;
        for i in 0..16 {
            if text.contains(&format!("xmm{i}")) {
                writeln!(f, "    xmm{i:<3} {:032x}", before.xmm[i])?;
            }
        }
        for difference in &self.differences {
            writeln!(f, "  {difference}")?;
        }
        Ok(())
    }
}

/// Runs `count` random instances of `code` on both sides.
///
/// # Errors
///
/// Returns the first instance on which they differ.
pub fn check(code: Code, count: u32, seed: u64) -> Result<Coverage, Box<Mismatch>> {
    check_on(&mut Cpu::acquire(), code, count, seed)
}

/// Runs every supported form, `count` instances each, and reports form by form.
pub fn all(count: u32, seed: u64, mut report: impl FnMut(Code, Result<Coverage, Box<Mismatch>>)) {
    let mut cpu = Cpu::acquire();
    for code in x86::supported() {
        let result = check_on(&mut cpu, code, count, seed);
        report(code, result);
    }
}

fn check_on(cpu: &mut Cpu, code: Code, count: u32, seed: u64) -> Result<Coverage, Box<Mismatch>> {
    if let Some(reason) = exclusion(code) {
        return Ok(Coverage::Excluded { reason });
    }
    let host = Host::of(cpu);
    if let Some(feature) = missing_feature(code, host.fsgsbase) {
        return Ok(Coverage::Skipped { feature });
    }
    let mut rng = Rng::new(seed ^ (code as u64) << 32);
    let mut source = instances(code, host, &mut rng);
    let (mut run, mut faults) = (0, 0);
    while run < count {
        let Some(instance) = source.next() else {
            let differences = vec!["no instance decodes to this form".to_owned()];
            return Err(Box::new(Mismatch { code, differences, instance: None }));
        };
        if undefined_result(&instance) {
            continue;
        }
        let mut native = cpu.run(&instance.bytes, &instance.regs, &instance.memory);
        let differences = match interpret(&instance, host) {
            Ok(own) => {
                as_the_other_vendor(&instance, &mut native, &own);
                differences(&instance, &native, &own)
            }
            Err(text) => vec![text],
        };
        if !differences.is_empty() {
            let instance = Some(Box::new(instance));
            return Err(Box::new(Mismatch { code, differences, instance }));
        }
        run += 1;
        faults += u32::from(native.fault.is_some());
    }
    Ok(Coverage::Covered { instances: run, faults })
}

fn interpret(instance: &Instance, host: Host) -> Result<Observed, String> {
    let op = match x86::lower(&instance.bytes, IP) {
        Lowered::Op(op) => op,
        Lowered::Unsupported { text, .. } => return Err(format!("not lowered: {text}")),
        Lowered::Incomplete => return Err("not lowered: cut off".to_owned()),
    };
    if usize::from(op.len()) != instance.bytes.len() {
        return Err(format!("lowered with length {}", op.len()));
    }
    let mut regs = instance.regs.clone();
    let mut env = Window { memory: instance.memory.clone(), fsgsbase: host.fsgsbase };
    // Every iteration of a repeated string instruction is one call; the window bounds them.
    for _ in 0..2 * SIZE {
        let before = regs.clone();
        if let Err(fault) = x86::exec(&op, &mut regs, &mut env) {
            if regs != before {
                return Err(format!("registers changed by a fault: {before:x?} {regs:x?}"));
            }
            return Ok(Observed { regs, memory: env.memory, fault: Some(fault.vector) });
        }
        if regs.rip != IP {
            return Ok(Observed { regs, memory: env.memory, fault: None });
        }
    }
    Err("does not end".to_owned())
}

/// Reverts the effects of a faulting instruction on an Intel processor that an AMD does not have;
/// nothing else.
///
/// The interpreter follows AMD: see *Where the vendors differ* in `x86`.
fn as_the_other_vendor(instance: &Instance, native: &mut Observed, own: &Observed) {
    use Mnemonic as M;
    if native.fault.is_none() || native.fault != own.fault {
        return;
    }
    let instruction = &instance.instruction;
    match instruction.mnemonic() {
        // The return address, stored before the target is found to be bad.
        M::Call => {
            let top = instance.regs.gpr[RSP].wrapping_sub(8 + WINDOW);
            let stored = usize::try_from(top).ok().and_then(|top| Some(top..top.checked_add(8)?));
            if let Some(range) = stored.filter(|range| range.end <= SIZE)
                && native.memory[range.clone()] == instruction.next_ip().to_le_bytes()
            {
                native.memory[range.clone()].copy_from_slice(&instance.memory[range]);
            }
        }
        // The flags from before the first iteration.
        M::Cmpsb | M::Cmpsw | M::Cmpsd | M::Cmpsq | M::Scasb | M::Scasw | M::Scasd | M::Scasq
            if native.regs.rflags == instance.regs.rflags =>
        {
            native.regs.rflags = own.regs.rflags;
        }
        _ => {}
    }
}

fn differences(instance: &Instance, native: &Observed, own: &Observed) -> Vec<String> {
    let mut out = Vec::new();
    let mut differ = |what: &str, native: String, own: String| {
        if native != own {
            out.push(format!("{what:<6} processor {native}, interpreter {own}"));
        }
    };
    let vector = |fault: Option<u8>| fault.map_or("none".to_owned(), |vector| vector.to_string());
    differ("fault", vector(native.fault), vector(own.fault));
    registers(&mut differ, &native.regs, &own.regs);
    let undefined = if own.fault.is_some() { 0 } else { undefined_flags(instance) };
    let rflags =
        |regs: &Regs| format!("{:08x} (undefined {undefined:x})", regs.rflags & !undefined);
    differ("rflags", rflags(&native.regs), rflags(&own.regs));
    let unset = own.regs.rflags & undefined & !carry_shifted_out(instance);
    differ(
        "flags",
        "undefined, to be 0".to_owned(),
        match unset {
            0 => "undefined, to be 0".to_owned(),
            set => format!("{set:x}"),
        },
    );
    if native.memory != own.memory {
        let pairs = native.memory.iter().zip(&own.memory).enumerate();
        for (i, (native, own)) in pairs.filter(|(_, (a, b))| a != b).take(16) {
            let at = WINDOW + i as u64;
            let before = instance.memory[i];
            out.push(format!(
                "{at:x} was {before:02x}, processor {native:02x}, interpreter {own:02x}"
            ));
        }
    }
    out
}

fn registers(differ: &mut impl FnMut(&str, String, String), native: &Regs, own: &Regs) {
    for (i, name) in GPR_NAMES.iter().enumerate() {
        if native.gpr[i] != own.gpr[i] {
            differ(name, format!("{:016x}", native.gpr[i]), format!("{:016x}", own.gpr[i]));
        }
    }
    for i in 0..16 {
        if native.xmm[i] != own.xmm[i] {
            let name = format!("xmm{i}");
            differ(&name, format!("{:032x}", native.xmm[i]), format!("{:032x}", own.xmm[i]));
        }
    }
    differ("rip", format!("{:x}", native.rip), format!("{:x}", own.rip));
    differ("fs", format!("{:x}", native.fs_base), format!("{:x}", own.fs_base));
    differ("gs", format!("{:x}", native.gs_base), format!("{:x}", own.gs_base));
}

/// Returns the flags that the manual leaves undefined for this instance.
fn undefined_flags(instance: &Instance) -> u64 {
    use Mnemonic as M;
    let instruction = &instance.instruction;
    match instruction.mnemonic() {
        // By count, unknown to iced if it is in CL.
        M::Shl | M::Sal | M::Shr | M::Sar | M::Shld | M::Shrd => {
            let count = shift_count(instance);
            let overflow = if count > 1 { flags::OF } else { 0 };
            let left_or_right = !matches!(instruction.mnemonic(), M::Sar | M::Shld | M::Shrd);
            let all_out = left_or_right && count >= width(instruction);
            let carry = if all_out { flags::CF } else { 0 };
            if count == 0 { 0 } else { flags::AF | overflow | carry }
        }
        M::Rol | M::Ror | M::Rcl | M::Rcr => {
            if shift_count(instance) > 1 {
                flags::OF
            } else {
                0
            }
        }
        _ => from_iced(instruction.rflags_undefined()),
    }
}

/// Returns the one undefined flag that the interpreter does not clear: CF of SHL and SHR.
fn carry_shifted_out(instance: &Instance) -> u64 {
    use Mnemonic as M;
    match instance.instruction.mnemonic() {
        M::Shl | M::Sal | M::Shr => flags::CF,
        _ => 0,
    }
}

fn from_iced(bits: u32) -> u64 {
    let pairs = [
        (RflagsBits::OF, flags::OF),
        (RflagsBits::SF, flags::SF),
        (RflagsBits::ZF, flags::ZF),
        (RflagsBits::AF, flags::AF),
        (RflagsBits::CF, flags::CF),
        (RflagsBits::PF, flags::PF),
    ];
    pairs.iter().filter(|(iced, _)| bits & iced != 0).fold(0, |all, (_, flag)| all | flag)
}

/// Returns the width of the first operand in bits.
fn width(instruction: &Instruction) -> u64 {
    let bytes = match instruction.op0_kind() {
        OpKind::Memory => instruction.memory_size().size(),
        _ => instruction.op0_register().size(),
    };
    8 * bytes as u64
}

/// Returns the masked count of a shift or rotate.
fn shift_count(instance: &Instance) -> u64 {
    let instruction = &instance.instruction;
    let last = instruction.op_count() - 1;
    let count = if instruction.op_kind(last) == OpKind::Register {
        debug_assert_eq!(instruction.op_register(last), Register::CL);
        instance.regs.gpr[RCX]
    } else {
        instruction.immediate(last)
    };
    count & if width(instruction) == 64 { 63 } else { 31 }
}

/// Returns whether this is a SHLD or SHRD of 16 bits by more than 16, whose result and flags are
/// undefined.
fn undefined_result(instance: &Instance) -> bool {
    let double = matches!(instance.instruction.mnemonic(), Mnemonic::Shld | Mnemonic::Shrd);
    double && width(&instance.instruction) == 16 && shift_count(instance) > 16
}
