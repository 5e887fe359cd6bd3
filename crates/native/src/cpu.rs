//! Execution of bytes on the host's processor.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use x86::Regs;

use crate::stub::{self, PAGES, STATE, STUBS, State, TEST, TEST_PAGE};
use crate::window::{GUARD, SIZE, WINDOW};

/// The address of the tested instruction: the required `Regs::rip`.
pub const IP: u64 = TEST;

/// The result of an instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Registers afterwards; RIP is the next instruction, or the faulting one. `kernel_gs_base` is
    /// the given one.
    pub regs: Regs,
    /// The window afterwards.
    pub memory: Vec<u8>,
    /// The vector of the fault, if there was one.
    pub fault: Option<u8>,
}

/// The processor. There is one: code and data are at fixed addresses and signal handlers belong to
/// the process, so the owner of this value keeps others waiting.
pub struct Cpu {
    fsgsbase: bool,
    fs_base: u64,
    old_stack: libc::stack_t,
    old_handlers: Vec<(i32, libc::sigaction)>,
    _signal_stack: Vec<u8>,
    _only: MutexGuard<'static, ()>,
}

/// Signals that an instruction can raise.
const SIGNALS: [i32; 5] = [libc::SIGFPE, libc::SIGILL, libc::SIGSEGV, libc::SIGBUS, libc::SIGTRAP];

static ONLY: Mutex<()> = Mutex::new(());

/// The thread inside a tested instruction, 0 if none.
static ACTIVE: AtomicI32 = AtomicI32::new(0);

impl Cpu {
    /// Waits for the processor, maps code and window, installs the signal handlers. They are
    /// restored on drop; the mappings stay.
    ///
    /// # Panics
    ///
    /// Panics if the system refuses a writable and executable mapping, or the addresses are taken.
    pub fn acquire() -> Cpu {
        static MAPPED: std::sync::Once = std::sync::Once::new();
        // A panic elsewhere leaves no partial state here: each run sets everything it uses.
        let only = ONLY.lock().unwrap_or_else(PoisonError::into_inner);
        let fsgsbase = fsgsbase();
        MAPPED.call_once(|| map(fsgsbase));
        let mut signal_stack = vec![0u8; 1 << 16];
        let (old_stack, old_handlers) = install(&mut signal_stack);
        Cpu {
            fsgsbase,
            fs_base: fs_base(),
            old_stack,
            old_handlers,
            _signal_stack: signal_stack,
            _only: only,
        }
    }

    /// Returns whether FS and GS bases are readable and writable in user mode.
    pub fn fsgsbase(&self) -> bool {
        self.fsgsbase
    }

    /// Returns the FS base of this thread, which a tested instruction must start with.
    pub fn fs_base(&self) -> u64 {
        self.fs_base
    }

    /// Runs one instruction at [`IP`] with these registers and this content of the window.
    ///
    /// Without [`Cpu::fsgsbase`], GS base must be 0. IF must be set, TF, IOPL, AC, VM clear: only
    /// the kernel sees their effects.
    ///
    /// # Panics
    ///
    /// Panics if `memory` is not as long as the window, `bytes` are too many, or `before` violates
    /// the above.
    pub fn run(&mut self, bytes: &[u8], before: &Regs, memory: &[u8]) -> Observed {
        use x86::flags::{AC, IF, IOPL, TF, VM};
        assert!(bytes.len() <= x86::MAX_LEN && memory.len() == SIZE);
        assert!(before.rflags & (AC | IF | IOPL | TF | VM) == IF, "flags of the kernel's");
        assert!(before.rip == IP && before.fs_base == self.fs_base);
        assert!(self.fsgsbase || before.gs_base == 0, "GS base cannot be set");
        self.place(bytes);
        let state = STATE as *mut State;
        // SAFETY: the three pages at STUBS and the window were mapped for reading and writing by
        // `acquire` and are never unmapped; `_only` makes this the one user of them. The memory of
        // this call is elsewhere, as those addresses were free when they were mapped.
        unsafe {
            (*state).gpr = before.gpr;
            (*state).xmm = before.xmm;
            (*state).rflags = before.rflags;
            (*state).fs_base = before.fs_base;
            (*state).gs_base = before.gs_base;
            (*state).trapped = 0;
            std::ptr::copy_nonoverlapping(memory.as_ptr(), WINDOW as *mut u8, SIZE);
        }
        ACTIVE.store(gettid(), Ordering::SeqCst);
        // SAFETY: the stub page holds a function of this type that follows the C calling
        // convention: it saves and restores the callee-saved registers, the FS and GS bases, and
        // the direction flag. The generator bounds the effects of the tested instruction: its
        // accesses go to the window or fault.
        unsafe {
            let entry = std::mem::transmute::<usize, extern "C" fn()>(STUBS as usize);
            entry();
        }
        ACTIVE.store(0, Ordering::SeqCst);
        // SAFETY: as above.
        let (after, memory) = unsafe {
            let window = std::slice::from_raw_parts(WINDOW as *const u8, SIZE);
            (std::ptr::read_volatile(state), window.to_vec())
        };
        let (rip, fault) = self.outcome(&after, bytes.len());
        let regs = Regs {
            gpr: after.gpr,
            rip,
            rflags: after.rflags,
            xmm: after.xmm,
            fs_base: if self.fsgsbase { after.fs_base } else { before.fs_base },
            gs_base: after.gs_base,
            kernel_gs_base: before.kernel_gs_base,
        };
        Observed { regs, memory, fault }
    }

    /// Places the instruction in the middle of INT3s, with a jump to the exit stub behind it.
    fn place(&mut self, bytes: &[u8]) {
        // SAFETY: the test page is mapped writable, and `&mut self` with `_only` means that no
        // thread executes it now. The longest instruction and a jump end far before the end of the
        // page.
        unsafe {
            let test = TEST as *mut u8;
            std::ptr::write_bytes(test, 0xcc, 32);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), test, bytes.len());
            let behind = TEST + bytes.len() as u64;
            let jump = stub::jump(behind, stub::EXIT);
            std::ptr::copy_nonoverlapping(jump.as_ptr(), behind as *mut u8, jump.len());
        }
    }

    /// Returns RIP and vector. An INT3 elsewhere on the test page is the landing of a branch.
    fn outcome(&self, after: &State, len: usize) -> (u64, Option<u8>) {
        if after.trapped == 0 {
            return (TEST + len as u64, None);
        }
        match after.vector {
            // #BP reports the address after the INT3.
            3 if after.rip == TEST + len as u64 => (TEST, Some(3)),
            3 => (after.rip - 1, None),
            vector => (after.rip, Some(vector as u8)),
        }
    }
}

impl Drop for Cpu {
    fn drop(&mut self) {
        for (signal, action) in &self.old_handlers {
            // SAFETY: `action` was given by the system for this signal.
            unsafe { libc::sigaction(*signal, action, std::ptr::null_mut()) };
        }
        // SAFETY: the guard is not Send, so this is the thread whose stack it was.
        unsafe { libc::sigaltstack(&self.old_stack, std::ptr::null_mut()) };
    }
}

/// Returns whether a branch of the tested instruction, `len` bytes long, can land on `target`.
pub fn is_landing(target: u64, len: usize) -> bool {
    let behind = TEST + len as u64 + 5;
    (TEST_PAGE..TEST_PAGE + 0x1000).contains(&target) && !(TEST..behind).contains(&target)
}

fn gettid() -> i32 {
    // SAFETY: no arguments, cannot fail.
    unsafe { libc::gettid() }
}

/// Returns whether the kernel has enabled RDFSBASE and the other three (bit 1 of AT_HWCAP2).
fn fsgsbase() -> bool {
    // SAFETY: reads the auxiliary vector.
    unsafe { libc::getauxval(libc::AT_HWCAP2) & 2 != 0 }
}

fn fs_base() -> u64 {
    const ARCH_GET_FS: i32 = 0x1003;
    let mut base = 0u64;
    // SAFETY: the call writes one u64 to the address given.
    let result = unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_GET_FS, &raw mut base) };
    assert_eq!(result, 0, "arch_prctl");
    base
}

/// Maps `len` bytes with `protection` at `address` exactly.
fn map_at(address: u64, len: usize, protection: i32) {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
    // SAFETY: MAP_FIXED_NOREPLACE never replaces a mapping, so no memory in use changes.
    let got = unsafe { libc::mmap(address as *mut _, len, protection, flags, -1, 0) };
    let error = std::io::Error::last_os_error();
    assert_eq!(got as u64, address, "cannot map {address:#x}: {error}");
}

fn map(fsgsbase: bool) {
    use libc::{PROT_EXEC, PROT_NONE, PROT_READ, PROT_WRITE};
    map_at(STUBS, PAGES * 0x1000, PROT_READ | PROT_WRITE | PROT_EXEC);
    map_at(WINDOW - GUARD as u64, GUARD, PROT_NONE);
    map_at(WINDOW, SIZE, PROT_READ | PROT_WRITE);
    map_at(WINDOW + SIZE as u64, GUARD, PROT_NONE);
    let code = stub::code(fsgsbase);
    // SAFETY: just mapped, and not yet used.
    unsafe {
        std::ptr::write_bytes(TEST_PAGE as *mut u8, 0xcc, 0x1000);
        std::ptr::copy_nonoverlapping(code.as_ptr(), STUBS as *mut u8, code.len());
    }
}

/// Installs a signal stack and the handlers; returns the previous ones.
fn install(stack: &mut [u8]) -> (libc::stack_t, Vec<(i32, libc::sigaction)>) {
    let new = libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: stack.len() };
    // SAFETY: an all-zero stack_t or sigaction is a valid value of a C structure of integers.
    let mut old: libc::stack_t = unsafe { std::mem::zeroed() };
    // SAFETY: `new` describes memory that `Cpu` keeps until after it has put the old stack back.
    assert_eq!(unsafe { libc::sigaltstack(&new, &mut old) }, 0, "sigaltstack");
    let handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) = on_signal;
    let handlers = SIGNALS.map(|signal| {
        // SAFETY: as for stack_t.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
        // SAFETY: as for stack_t.
        let mut old: libc::sigaction = unsafe { std::mem::zeroed() };
        // SAFETY: the handler has the signature that SA_SIGINFO requires, and calls only functions
        // that may be called from a handler.
        assert_eq!(unsafe { libc::sigaction(signal, &action, &mut old) }, 0, "sigaction");
        (signal, old)
    });
    (old, handlers.to_vec())
}

/// Records the trap and resumes at the exit stub, which stores the registers as the trap left them.
extern "C" fn on_signal(signal: i32, _info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    if ACTIVE.load(Ordering::SeqCst) != gettid() {
        // A foreign signal: let the instruction be repeated under the default action.
        // SAFETY: SIG_DFL is a valid handler for any of these signals.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
        return;
    }
    let context: *mut libc::ucontext_t = context.cast();
    let state = STATE as *mut State;
    // SAFETY: the kernel passes a context of this type; the state page is mapped; the code that this
    // handler interrupted is the tested instruction, which is not in the middle of using the page.
    unsafe {
        let registers = &mut (*context).uc_mcontext.gregs;
        (*state).trapped = 1;
        (*state).vector = registers[libc::REG_TRAPNO as usize] as u64;
        (*state).rip = registers[libc::REG_RIP as usize] as u64;
        registers[libc::REG_RIP as usize] = stub::EXIT as i64;
    }
}
