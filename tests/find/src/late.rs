//! Bugs that only the last discovery of the search leads to: in its round no word becomes
//! shared, and no instruction is new.

use core::arch::asm;
use core::hint::spin_loop;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::SeqCst;

use crate::shared::words;

const VECTOR: u8 = 40;

/// The words by which CPU 1 tells CPU 0 at last that it hands on a 2.
struct Slow {
    first: &'static AtomicU64,
    value: &'static AtomicU64,
    open: &'static AtomicU64,
}

impl Slow {
    fn new() -> &'static Slow {
        let [first, value, open] = words();
        lamprey::new(Slow { first, value, open })
    }

    /// Lets CPU 1 look at `open` only after a word of its own, and give a value only if it is open,
    /// so that its actions show round by round.
    fn give(&self) {
        self.first.swap(1, SeqCst);
        if self.open.load(SeqCst) == 1 {
            self.value.swap(2, SeqCst);
        }
    }

    /// Returns the value that CPU 0 is given, 0 or 2.
    fn take(&self) -> u64 {
        self.open.swap(1, SeqCst);
        let value = self.value.load(SeqCst);
        self.open.swap(0, SeqCst);
        value
    }
}

/// CPU 2 goes from one instruction to another, both well known from other runs, once it reads a 2: then
/// CPU 0 finds a word changed that it has just handed on.
#[lamprey::scenario(finds = "changed")]
fn known_code_after_known_code() {
    let slow = Slow::new();
    let [handed, looked_at, chosen] = words();
    lamprey::cpu(0, move || {
        slow.first.load(SeqCst);
        handed.swap(0, SeqCst);
        looked_at.load(SeqCst);
        slow.open.swap(0, SeqCst);
        lamprey::assume(chosen.load(SeqCst) == 1);
        handed.swap(slow.take(), SeqCst);
        lamprey::require!(looked_at.load(SeqCst) != 1, "changed", "after the 2");
    });
    lamprey::cpu(1, || slow.give());
    lamprey::cpu(2, move || {
        let way = lamprey::choose(2);
        chosen.swap(1, SeqCst);
        // SAFETY: the two words.
        unsafe {
            asm!(
                "mov eax, 5",
                "test {way}, {way}", "jnz 2f",
                "mov rax, [{handed}]", "cmp rax, 2", "jne 3f",
                "mov eax, 1",
                "2:", "xchg [{looked_at}], rax",
                "3:",
                way = in(reg) way, handed = in(reg) handed, looked_at = in(reg) looked_at,
                out("rax") _, options(nostack),
            );
        }
    });
}

/// A handler writes a word, known to be shared, for the first time in a round in which nothing else is
/// new. CPU 0 gets there by an earlier store of the handler, which was the discovery of the last round.
#[lamprey::scenario(finds = "changed")]
fn handler_writes_a_known_word() {
    let slow = Slow::new();
    let [handed, first_answer, again] = words();
    let [looked_at, ready] = words();
    lamprey::cpu(0, move || {
        for word in [slow.first, first_answer, looked_at] {
            word.load(SeqCst);
        }
        for word in [handed, slow.open, again] {
            word.swap(0, SeqCst);
        }
        lamprey::assume(ready.load(SeqCst) == 1);
        handed.swap(slow.take(), SeqCst);
        again.swap(first_answer.load(SeqCst), SeqCst);
        lamprey::require!(looked_at.load(SeqCst) != 1, "changed", "by the handler");
    });
    lamprey::cpu(1, || slow.give());
    lamprey::cpu(2, move || {
        for word in [first_answer, looked_at] {
            word.swap(8, SeqCst);
            word.swap(0, SeqCst);
        }
        lamprey::send_ipi(2, VECTOR);
        while ready.load(SeqCst) == 0 {
            spin_loop();
        }
    });
    lamprey::handler(VECTOR, move || {
        for word in [handed, again] {
            word.load(SeqCst);
        }
        ready.swap(1, SeqCst);
        if handed.load(SeqCst) == 2 {
            first_answer.swap(1, SeqCst);
        }
        if again.load(SeqCst) == 1 {
            looked_at.swap(1, SeqCst);
        }
    });
}
