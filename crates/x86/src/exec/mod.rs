//! The execution of instructions.

mod access;
mod alu;
mod bits;
mod control;
mod far;
mod mov;
mod muldiv;
mod privileged;
mod segment;
mod shift;
mod sse;
mod stack;
mod string;
mod system;

use crate::env::Env;
use crate::op::{Kind, Op};
use crate::{Fault, Regs};

/// Executes one instruction, or one iteration of a REP string instruction, whose RIP stays until
/// the last.
///
/// `regs.rip` must be the address the instruction was decoded for. After `Ok` all registers are
/// updated, RIP included; after `Err` none is.
///
/// One long `match`: the compiler turns it into a jump table, and a reader sees the list of
/// operations.
///
/// # Errors
///
/// Returns the error of `env`; a fault of the instruction itself is converted into that.
#[inline]
#[allow(clippy::too_many_lines)]
pub fn exec<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    use Kind as K;
    match op.kind {
        K::Mov => mov::mov(op, regs, env)?,
        K::Movzx => mov::movzx(op, regs, env)?,
        K::Movsx => mov::movsx(op, regs, env)?,
        K::Lea => mov::lea(op, regs),
        K::Xchg => mov::xchg(op, regs, env)?,
        K::Cmov => mov::cmov(op, regs, env)?,
        K::Bswap => mov::bswap(op, regs),
        K::Movbe => mov::movbe(op, regs, env)?,
        K::Cbw => mov::cbw(op, regs),
        K::Cwd => mov::cwd(op, regs),
        K::Setcc => mov::setcc(op, regs, env)?,
        K::Lahf => mov::lahf(regs),
        K::Sahf => mov::sahf(regs),
        K::Push => stack::push(op, regs, env)?,
        K::Pop => stack::pop(op, regs, env)?,
        K::Pushf => stack::pushf(op, regs, env)?,
        K::Popf => stack::popf(op, regs, env)?,
        K::Leave => stack::leave(op, regs, env)?,
        K::Enter => stack::enter(op, regs, env)?,
        K::Add => alu::add(op, regs, env)?,
        K::Adc => alu::adc(op, regs, env)?,
        K::Sub => alu::sub(op, regs, env)?,
        K::Sbb => alu::sbb(op, regs, env)?,
        K::And => alu::logic(op, regs, env, |a, b| a & b)?,
        K::Or => alu::logic(op, regs, env, |a, b| a | b)?,
        K::Xor => alu::logic(op, regs, env, |a, b| a ^ b)?,
        K::Cmp => alu::cmp(op, regs, env)?,
        K::Test => alu::test(op, regs, env)?,
        K::Inc => alu::inc(op, regs, env)?,
        K::Dec => alu::dec(op, regs, env)?,
        K::Neg => alu::neg(op, regs, env)?,
        K::Not => alu::not(op, regs, env)?,
        K::Adcx | K::Adox => alu::adx(op, regs, env)?,
        K::Cmpxchg => alu::cmpxchg(op, regs, env)?,
        K::Cmpxchg8b => alu::cmpxchg8b(op, regs, env)?,
        K::Cmpxchg16b => alu::cmpxchg16b(op, regs, env)?,
        K::Xadd => alu::xadd(op, regs, env)?,
        K::Shl | K::Shr | K::Sar => shift::shift(op, regs, env)?,
        K::Rol | K::Ror | K::Rcl | K::Rcr => shift::rotate(op, regs, env)?,
        K::Shld | K::Shrd => shift::double(op, regs, env)?,
        K::Rorx | K::Sarx | K::Shlx | K::Shrx => shift::flagless(op, regs, env)?,
        K::Mul => muldiv::mul(op, regs, env)?,
        K::Imul => muldiv::imul(op, regs, env)?,
        K::ImulTrunc => muldiv::imul_truncating(op, regs, env)?,
        K::Mulx => muldiv::mulx(op, regs, env)?,
        K::Div => muldiv::div(op, regs, env)?,
        K::Idiv => muldiv::idiv(op, regs, env)?,
        K::Bt | K::Bts | K::Btr | K::Btc => bits::bit_test(op, regs, env)?,
        K::Bsf | K::Bsr => bits::scan(op, regs, env)?,
        K::Tzcnt | K::Lzcnt | K::Popcnt => bits::count(op, regs, env)?,
        K::Andn | K::Bextr | K::Bzhi | K::Pdep | K::Pext => bits::bmi_binary(op, regs, env)?,
        K::Blsi | K::Blsmsk | K::Blsr => bits::lowest_set(op, regs, env)?,
        K::Crc32 => bits::crc32(op, regs, env)?,
        K::Clc | K::Stc | K::Cmc | K::Cld | K::Std => alu::set_flag(op, regs),
        K::Movs | K::Stos | K::Lods | K::Scas | K::Cmps => return string::string(op, regs, env),
        K::Jcc => return control::jcc(op, regs),
        K::Jmp => return control::jmp(op, regs),
        K::JmpIndirect => return control::jmp_indirect(op, regs, env),
        K::Call => return control::call(op, regs, env),
        K::CallIndirect => return control::call_indirect(op, regs, env),
        K::Ret => return control::ret(op, regs, env),
        K::Jrcxz | K::Loop | K::Loope | K::Loopne => return control::counted(op, regs),
        K::Ud => return Err(Fault::UD.into()),
        K::TooLong => return Err(Fault::GP.into()),
        K::Int => return Err(far::software_interrupt(op, regs, env)),
        K::Iretq => return far::iretq(op, regs, env),
        K::Retfq => return far::retfq(op, regs, env),
        K::Nop => {}
        K::Mfence | K::Sfence | K::Lfence => system::fence(op, env)?,
        K::Clflush => system::flush_line(op, regs, env)?,
        K::Cpuid => system::cpuid(regs, env)?,
        K::Rdtsc | K::Rdtscp => system::rdtsc(op, regs, env)?,
        K::Rdfsbase | K::Rdgsbase => system::read_base(op, regs, env)?,
        K::Wrfsbase | K::Wrgsbase => system::write_base(op, regs, env)?,
        K::ReadSegment => segment::read(op, regs, env)?,
        K::WriteSegment => segment::write(op, regs, env)?,
        K::Sgdt | K::Sidt => segment::store_table(op, regs, env)?,
        K::Cli
        | K::Sti
        | K::In
        | K::Out
        | K::Stac
        | K::Clac
        | K::Hlt
        | K::Rdmsr
        | K::Wrmsr
        | K::Swapgs
        | K::ReadCr
        | K::WriteCr
        | K::Invlpg
        | K::Invpcid
        | K::Lgdt
        | K::Lidt
        | K::Ltr => privileged::exec(op, regs, env)?,
        _ => sse::exec(op, regs, env)?,
    }
    regs.rip = regs.rip.wrapping_add(u64::from(op.len));
    Ok(())
}
