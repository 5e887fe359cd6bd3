//! What a CPU may have cached of page tables: everything that it could have walked to since it last had to
//! drop it (SDM vol. 3 §4.10.2, §4.10.3). Nothing has to be evicted, for an access may always walk afresh.

/// A translation of a 4-KiB page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Page {
    /// Its PCID; none if it is global.
    pub(crate) pcid: Option<u64>,
    pub(crate) page: u64,
    pub(crate) frame: u64,
    pub(crate) rights: Rights,
    /// D of its entry: without it, it serves no write (SDM vol. 3 §4.8).
    pub(crate) dirty: bool,
}

/// What all entries on the way allow together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Rights {
    pub(crate) write: bool,
    pub(crate) user: bool,
    pub(crate) execute: bool,
}

/// An entry of the paging-structure caches: a table of `level`, found without the tables above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Upper {
    pub(crate) pcid: u64,
    /// Of the table that it leads to: 3 a page-directory-pointer table, 1 a page table.
    pub(crate) level: u8,
    /// The address bits above what the table translates.
    pub(crate) prefix: u64,
    pub(crate) table: u64,
    pub(crate) rights: Rights,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Tlb {
    /// Sorted.
    pub(crate) pages: Vec<Page>,
    /// Sorted.
    pub(crate) uppers: Vec<Upper>,
    /// While a step is made: what a walk could lead to before it that sets A first, with the word of an
    /// entry on its way.
    pub(crate) pending: Vec<(usize, Cached)>,
}

/// Something that may be cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Cached {
    Page(Page),
    Upper(Upper),
}

impl Tlb {
    /// Adds to both; whether something is new.
    pub(crate) fn add(&mut self, page: Option<Page>, uppers: &[Upper]) -> bool {
        let mut new = false;
        if let Some(page) = page
            && let Err(at) = self.pages.binary_search(&page)
        {
            self.pages.insert(at, page);
            new = true;
        }
        for upper in uppers {
            if let Err(at) = self.uppers.binary_search(upper) {
                self.uppers.insert(at, *upper);
                new = true;
            }
        }
        new
    }

    /// Drops the pages and tables for which these say so.
    pub(crate) fn drop(&mut self, page: impl Fn(&Page) -> bool, upper: impl Fn(&Upper) -> bool) {
        self.pages.retain(|entry| !page(entry));
        self.uppers.retain(|entry| !upper(entry));
        self.pending.retain(|(_, cached)| match cached {
            Cached::Page(entry) => !page(entry),
            Cached::Upper(entry) => !upper(entry),
        });
    }
}

/// The address bits above what a table of `level` translates.
pub(crate) fn prefix(va: u64, level: u8) -> u64 {
    va >> (12 + 9 * u32::from(level))
}
