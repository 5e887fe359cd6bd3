//! A guest with names, positions and types that the tests look up.
//!
//! A test finds a line by the comment at its end, so lines may be added anywhere.
#![no_std]
#![no_main]
#![allow(dead_code, named_asm_labels)]

use core::cell::{Cell, RefCell, UnsafeCell};
use core::mem::{ManuallyDrop, MaybeUninit};
use core::num::NonZeroU64;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

#[unsafe(no_mangle)]
extern "C" fn entry() -> ! {
    model::COUNTER.fetch_add(1, Ordering::SeqCst);
    lines::outer(3);
    model::next_id();
    let core = model::Core { number: 1 };
    model::Switch::switch_to(&core);
    run(|| unsafe {
        core::arch::asm!(".globl in_closure", "in_closure: nop"); // line: in closure
    });
    loop {}
}

#[inline(never)]
fn run(body: impl Fn()) {
    body();
    unsafe { core::arch::asm!("nop") };
}

mod lines {
    #[inline(never)]
    pub fn outer(count: u64) {
        middle(count); // line: outer calls middle
        unsafe {
            core::arch::asm!(".globl in_outer", "in_outer: nop"); // line: in outer
        }
    }

    #[inline(always)]
    fn middle(count: u64) {
        Counter { count }.inner::<u8>(); // line: middle calls inner
    }

    struct Counter {
        count: u64,
    }

    impl Counter {
        #[inline(always)]
        fn inner<T>(&self) {
            unsafe {
                core::arch::asm!(".globl in_inner", "in_inner: mov rax, {}", in(reg) self.count, out("rax") _); // line: in inner
            }
        }
    }
}

pub mod model {
    use super::*;

    pub static COUNTER: AtomicU64 = AtomicU64::new(3);

    #[inline(never)]
    pub fn next_id() {
        static NEXT_ID: AtomicU32 = AtomicU32::new(7);
        NEXT_ID.fetch_add(1, Ordering::SeqCst);
    }

    pub struct Core {
        pub number: u32,
    }

    pub trait Switch {
        fn switch_to(&self);
    }

    impl Switch for Core {
        #[inline(never)]
        fn switch_to(&self) {
            unsafe { core::arch::asm!(".globl in_method", "in_method: mov eax, {0:e}", in(reg) self.number, out("rax") _) }
        }
    }

    #[repr(C)]
    pub struct Lock {
        pub held: AtomicBool,
        pub owner: AtomicU32,
    }

    #[repr(C)]
    pub struct Entry {
        pub id: u64,
        pub lock: Lock,
        pub pair: Pair,
    }

    #[repr(C)]
    pub struct Pair(pub u16, pub u32);

    #[repr(C)]
    pub struct Table {
        pub length: u32,
        pub entries: [Entry; 4],
        pub grid: [[u8; 3]; 2],
        pub last: u64,
    }

    const ENTRY: Entry = Entry {
        id: 1,
        lock: Lock { held: AtomicBool::new(false), owner: AtomicU32::new(9) },
        pair: Pair(1, 2),
    };

    #[used]
    pub static TABLE: Table =
        Table { length: 4, entries: [const { ENTRY }; 4], grid: [[0; 3]; 2], last: 5 };

    /// Shared between CPUs.
    #[repr(transparent)]
    pub struct Shared<T>(pub T);

    unsafe impl<T> Sync for Shared<T> {}

    #[repr(C)]
    pub struct Wrapped {
        pub cell: Cell<u64>,
        pub inner: UnsafeCell<[Pair; 2]>,
        pub maybe: MaybeUninit<Pair>,
        pub manual: ManuallyDrop<[u32; 2]>,
        pub counted: RefCell<u64>,
        pub root: Option<NonZeroU64>,
        pub choice: Choice,
        pub number: NonZeroU64,
    }

    #[repr(C)]
    pub enum Choice {
        Left(u32),
        Right { wide: u64 },
    }

    #[used]
    pub static WRAPPED: Shared<Wrapped> = Shared(Wrapped {
        cell: Cell::new(1),
        inner: UnsafeCell::new([Pair(1, 2), Pair(3, 4)]),
        maybe: MaybeUninit::uninit(),
        manual: ManuallyDrop::new([1, 2]),
        counted: RefCell::new(1),
        root: None,
        choice: Choice::Right { wide: 2 },
        number: NonZeroU64::MIN,
    });

    #[repr(C)]
    pub struct Mm {
        pub generation: AtomicU64,
        pub lam: Lam,
    }

    #[repr(C)]
    pub struct Lam {
        pub mask: AtomicU64,
    }

    #[repr(C)]
    pub struct Space<T, const N: usize> {
        pub owner: T,
        pub slots: [AtomicU64; N],
    }

    #[used]
    pub static SPACE: Space<Mm, 4> = Space {
        owner: Mm { generation: AtomicU64::new(1), lam: Lam { mask: AtomicU64::new(0) } },
        slots: [const { AtomicU64::new(0) }; 4],
    };

    #[used]
    pub static TUPLE: Shared<(u64, &'static str, Cell<u8>)> = Shared((1, "two", Cell::new(3)));
}
