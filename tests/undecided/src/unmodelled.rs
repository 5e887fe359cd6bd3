//! Instructions and features without a model; the report names the place.

use core::arch::asm;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::SeqCst;

use lamprey::paging::{self, PageTables};
use lamprey::user;

use crate::cpu::{hlt, load_cr3, sti};

macro_rules! instruction {
    ($($(#[$doc:meta])* fn $name:ident = $($text:literal),+;)*) => {$(
        $(#[$doc])*
        #[lamprey::scenario]
        fn $name() {
            lamprey::cpu(0, || {
                // SAFETY: the run ends at it.
                unsafe { asm!($($text),+, options(noreturn)) }
            });
        }
    )*};
}

instruction! {
    /// A leaf of CPUID that has no model.
    // reason: cpuid leaf 0x4, subleaf 0x1
    // instruction: cpuid
    fn cpuid_leaf = "mov eax, 4", "mov ecx, 1", "cpuid", "ud2";
    /// POPFQ sets RFLAGS.TF: #DB after the next instruction.
    // reason: RFLAGS.TF
    // instruction: popf
    fn single_step = "pushfq", "or qword ptr [rsp], 0x100", "popfq", "nop", "nop", "ud2";
    /// Time has no model.
    // reason: time has no model
    // instruction: rdtsc
    fn rdtsc = "rdtsc", "ud2";
    /// x87 is not modelled.
    // reason: this instruction
    // instruction: fld1
    fn x87 = "fld1", "ud2";
    /// System calls are not modelled.
    // reason: this instruction
    // instruction: syscall
    fn syscall = "syscall", "ud2";
    /// Ports are not modelled.
    // reason: in from port 0x0
    // instruction: in
    fn port = "in al, dx", "ud2";
    /// Non-temporal stores are not ordered as others are.
    // reason: this instruction
    // instruction: movnti
    fn non_temporal = "movnti [rsp - 64], rax", "ud2";
    /// Floating point is not modelled.
    // reason: this instruction
    // instruction: addsd
    fn float = "addsd xmm0, xmm1", "ud2";
    /// Far returns are not modelled.
    // reason: a far return
    // instruction: lretq
    fn far_return = "push 0x10", "push rax", "retfq", "ud2";
    /// IRETQ to user mode is not modelled.
    // reason: an IRETQ to CS 0x33 and SS 0x2b
    // instruction: iretq
    fn iret_to_user =
        "push 0x2b", "push 0x1000", "push 0x202", "push 0x33", "push 0x2000", "iretq", "ud2";
    /// An MSR without a model, as read.
    // reason: rdmsr of 0x10
    // instruction: rdmsr
    fn msr_read = "mov ecx, 0x10", "rdmsr", "ud2";
    /// One of the memory types.
    // reason: wrmsr of 0x277, IA32_PAT
    // instruction: wrmsr
    fn msr_pat = "mov ecx, 0x277", "xor eax, eax", "xor edx, edx", "wrmsr", "ud2";
    /// An MSR of single families of processors: nothing is claimed about it.
    // reason: rdmsr of 0xc0010015, AMD's
    // instruction: rdmsr
    fn msr_of_a_family = "mov ecx, 0xc0010015", "rdmsr", "ud2";
    /// An x2APIC register without a model, as read: the task priority.
    // reason: rdmsr of 0x808, a register of the x2APIC
    // instruction: rdmsr
    fn apic_priority = "mov ecx, 0x808", "rdmsr", "ud2";
    /// No-execute cannot be turned off.
    // reason: a change of IA32_EFER
    // instruction: wrmsr
    fn efer_nxe = "mov ecx, 0xc0000080", "rdmsr", "btr eax, 11", "wrmsr", "ud2";
    /// SSE instructions depend on it.
    // reason: a change of CR4.OSFXSR
    // instruction: mov
    fn cr4_osfxsr = "mov rax, cr4", "btr rax, 9", "mov cr4, rax", "ud2";
    /// SSE instructions depend on CR0.TS, too.
    // reason: a change of CR0.CD, CR0.NW, CR0.TS or CR0.EM
    // instruction: mov
    fn cr0_ts = "mov rax, cr0", "bts rax, 3", "mov cr0, rax", "ud2";
    /// Caches are not modelled.
    // reason: a change of CR0.CD, CR0.NW, CR0.TS or CR0.EM
    // instruction: mov
    fn cr0_cd = "mov rax, cr0", "bts rax, 30", "mov cr0, rax", "ud2";
    /// Local descriptor tables exist.
    // reason: this instruction
    // instruction: lldt
    fn lldt = "xor eax, eax", "lldt ax", "ud2";
    /// Debug registers exist.
    // reason: this instruction
    // instruction: mov
    fn debug_register = "mov rax, dr7", "ud2";
    /// SSSE3 is enumerated, and not all of it modelled.
    // reason: this instruction
    // instruction: pshufb
    fn ssse3 = "pshufb xmm0, xmm1", "ud2";
    /// MMX exists on every processor.
    // reason: this instruction
    // instruction: paddb
    fn mmx = "paddb mm0, mm1", "ud2";
    /// An encoding of x87 that the manuals leave open.
    // reason: this instruction
    // instruction: (bad)
    fn reserved_encoding = ".byte 0xd9, 0xd1", "ud2";
    /// An x2APIC register without a model: the timer.
    // reason: wrmsr of 0x832
    // instruction: wrmsr
    fn apic_timer = "mov ecx, 0x832", "xor eax, eax", "xor edx, edx", "wrmsr", "ud2";
    /// An IPI of a vector without a handler.
    // reason: an IPI of vector 40, which has no handler
    // instruction: wrmsr
    fn no_handler = "mov ecx, 0x830", "mov eax, 40", "xor edx, edx", "wrmsr", "ud2";
    /// An INIT.
    // reason: an IPI that is neither fixed nor an NMI
    // instruction: wrmsr
    fn init = "mov ecx, 0x830", "mov eax, 0x500", "mov edx, 1", "wrmsr", "ud2";
    /// An NMI without a handler.
    // reason: an NMI where none is handled
    // instruction: wrmsr
    fn nmi = "mov ecx, 0x830", "mov eax, 0x400", "xor edx, edx", "wrmsr", "ud2";
    /// A selector that is not in the modelled GDT.
    // reason: selector 0x2b for segment register Ss
    // instruction: mov
    fn user_selector = "mov eax, 0x2b", "mov ss, eax", "ud2";
    /// Write protection cannot be turned off.
    // reason: CR0
    // instruction: mov
    fn write_protection = "mov rax, cr0", "btr rax, 16", "mov cr0, rax", "ud2";
    /// CR8 is not modelled.
    // reason: CR8
    // instruction: mov
    fn task_priority = "mov rax, cr8", "ud2";
}

/// Without SMEP the kernel can run code in user memory.
// reason: code in user memory, run at CPL 0
#[lamprey::scenario]
fn kernel_runs_user_code() {
    // SAFETY: the run ends at it.
    lamprey::cpu(0, || unsafe { asm!("jmp {}", in(reg) user::USER_BASE, options(noreturn)) });
}

/// A handler that enables interrupts could nest.
// reason: interrupts enabled inside an interrupt handler
// instruction: sti
#[lamprey::scenario]
fn sti_in_handler() {
    lamprey::handler(40, sti);
    lamprey::cpu(0, || {});
    lamprey::cpu(1, || {
        lamprey::send_ipi(0, 40);
        lamprey::mark!("sent");
    });
}

/// HLT in a final check.
// reason: hlt in code that runs by itself
#[lamprey::scenario]
fn halt_in_final_check() {
    lamprey::cpu(0, || lamprey::mark!("ran"));
    lamprey::finally(hlt);
}

/// A choice in the set-up.
// reason: choose or hlt in code that runs by itself
#[lamprey::scenario]
fn choose_in_set_up() {
    let n = lamprey::choose(2);
    lamprey::cpu(0, move || {
        if n == 0 {
            lamprey::mark!("ran");
        }
    });
}

/// In one interleaving only, on the second CPU.
// reason: time has no model
// at: in_one_interleaving
// cpu: 1
#[lamprey::scenario]
fn in_one_interleaving() {
    let word = lamprey::new(AtomicU64::new(0));
    lamprey::cpu(0, move || {
        word.store(1, SeqCst);
        word.store(2, SeqCst);
        lamprey::mark!("stored");
    });
    lamprey::cpu(1, move || {
        if word.load(SeqCst) == 1 {
            // SAFETY: a read.
            unsafe { asm!("rdtsc", out("rax") _, out("rdx") _) }
        }
    });
}

/// HLT in a handler waits with interrupts off, or for one that nests.
// reason: hlt inside an interrupt handler
#[lamprey::scenario]
fn hlt_in_a_handler() {
    lamprey::handler(40, || {
        lamprey::mark!("handled");
        crate::cpu::hlt();
    });
    lamprey::cpu(0, || {});
    lamprey::cpu(1, || lamprey::send_ipi(0, 40));
}

/// A third NMI, in two handlers that have both unblocked NMIs.
// reason: an NMI in an NMI handler that has interrupted one
#[lamprey::scenario]
fn third_nmi() {
    lamprey::nmi(3, || {
        lamprey::mark!("nmi");
        // SAFETY: returns to the next instruction.
        unsafe {
            asm!(
                "mov {sp}, rsp", "push 0x18", "push {sp}", "pushfq", "push 0x10",
                "lea {sp}, [rip + 2f]", "push {sp}", "iretq", "2:",
                sp = out(reg) _,
            );
        }
    });
    lamprey::cpu(0, || {});
}

/// A handler that changes a register of the interrupted code: its pending operation is already fixed.
// reason: a return from an interrupt with RBX changed
#[lamprey::scenario]
fn register_changed() {
    // SAFETY: the run ends at its return.
    unsafe { lamprey::raw_handler(40, changes_rbx) };
    lamprey::cpu(0, || lamprey::mark!("ran"));
    lamprey::cpu(1, || lamprey::send_ipi(0, 40));
}

#[unsafe(naked)]
unsafe extern "C" fn changes_rbx() {
    core::arch::naked_asm!("inc rbx", "iretq")
}

/// An access to user memory across two pages has two translations.
// reason: across two pages
#[lamprey::scenario]
fn across_two_pages() {
    lamprey::page_tables(4);
    let (tables, pages) = (PageTables::new(), [paging::frame(), paging::frame()]);
    tables.map(0x40_0000, pages[0].pa(), paging::USER);
    tables.map(0x40_1000, pages[1].pa(), paging::USER);
    lamprey::cpu(0, move || {
        load_cr3(tables.root());
        let _ = lamprey::user::read::<u64>(0x40_0ffc);
    });
}
