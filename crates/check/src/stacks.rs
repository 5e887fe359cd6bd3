//! Who called whom: call stacks followed through a watched run, and their frames as a reader wants them.

use std::collections::HashMap;

use image::{Image, short_name};
use machine::{Agent, Flow};
use outcome::{Frame, Place};

/// A call that has not returned.
#[derive(Clone, Copy)]
struct Call {
    /// The call instruction.
    site: u64,
    /// RSP after the call has pushed its return address.
    rsp: u64,
    /// Numbers the call among all.
    number: u64,
}

/// The call stacks of all agents.
#[derive(Default)]
pub(crate) struct Stacks {
    calls: HashMap<u8, Vec<Call>>,
    count: u64,
    /// Numbers of activations, by physical call and inlined path.
    activations: HashMap<(u8, u64, String), u64>,
}

impl Stacks {
    /// An instruction has retired.
    pub(crate) fn retired(&mut self, agent: Agent, flow: Flow, rip: u64, rsp_after: u64) {
        let calls = self.calls.entry(agent.0).or_default();
        match flow {
            Flow::Call => {
                self.count += 1;
                calls.push(Call { site: rip, rsp: rsp_after, number: self.count });
            }
            Flow::Return => {
                while calls.last().is_some_and(|call| call.rsp < rsp_after) {
                    calls.pop();
                }
            }
            Flow::Other => {}
        }
    }

    /// The agent's entry starts or has returned.
    pub(crate) fn clear(&mut self, agent: Agent) {
        self.calls.remove(&agent.0);
    }

    /// The frames of `agent` at `rip`, outermost first, without the plumbing of libraries and of the
    /// scenario function `scenario` itself.
    pub(crate) fn frames(
        &mut self,
        image: &Image,
        scenario: &str,
        agent: Agent,
        rip: u64,
    ) -> Vec<Frame> {
        let calls = self.calls.get(&agent.0).cloned().unwrap_or_default();
        let mut physical: Vec<(u64, u64)> = Vec::with_capacity(calls.len() + 1);
        let mut number = 0;
        for call in &calls {
            physical.push((call.site, number));
            number = call.number;
        }
        physical.push((rip, number));
        let mut frames = Vec::new();
        for (address, number) in physical {
            let mut path = String::new();
            for frame in image.frames(address).into_iter().rev() {
                path += &format!("/{}", frame.function);
                if is_plumbing(&frame.function, scenario) {
                    continue;
                }
                let activation = self.activation(agent, number, &path);
                frames.push(Frame {
                    function: short_name(&frame.function),
                    activation,
                    file: frame.file,
                    line: frame.line,
                });
                // Two inlined calls of one function from different lines are two activations.
                path += &format!(":{}", frame.line.unwrap_or(0));
            }
        }
        frames
    }

    fn activation(&mut self, agent: Agent, number: u64, path: &str) -> u64 {
        let next = u64::try_from(self.activations.len()).expect("few") + 1;
        *self.activations.entry((agent.0, number, path.to_owned())).or_insert(next)
    }

    /// The innermost place of `agent` at `rip` that is not a library's.
    pub(crate) fn place(&self, image: &Image, agent: Agent, rip: u64) -> Option<Place> {
        let calls = self.calls.get(&agent.0).map(Vec::as_slice).unwrap_or_default();
        std::iter::once(rip).chain(calls.iter().rev().map(|call| call.site)).find_map(|address| {
            let frame =
                image.frames(address).into_iter().find(|frame| !is_library(&frame.function))?;
            Some(Place { symbol: symbol(image, address), file: frame.file, line: frame.line })
        })
    }
}

/// `symbol+0x1a`, short. A library's shim around a guest's closure goes by the name of what is inlined
/// into it.
pub(crate) fn symbol(image: &Image, address: u64) -> String {
    let Some((physical, offset)) = image.function_at(address) else {
        return format!("{address:#x}");
    };
    let inlined = || image.frames(address).into_iter().rfind(|f| !is_library(&f.function));
    let name = if is_library(&physical) {
        inlined().map_or(physical, |frame| frame.function)
    } else {
        physical
    };
    format!("{}+{offset:#x}", short_name(&name))
}

/// The place of an instruction, without a call stack: the innermost line that is not a library's.
pub(crate) fn place(image: &Image, address: u64) -> Place {
    let frames = image.frames(address);
    let own = frames.iter().find(|frame| !is_library(&frame.function)).or(frames.first());
    let (file, line) = own.map_or((None, None), |frame| (frame.file.clone(), frame.line));
    Place { symbol: symbol(image, address), file, line }
}

fn is_library(function: &str) -> bool {
    let function = function.trim_start_matches('<');
    ["core::", "alloc::", "lamprey::", "lamprey_", "compiler_builtins::", "__rustc::", "rust_"]
        .iter()
        .any(|library| function.starts_with(library))
}

fn is_plumbing(function: &str, scenario: &str) -> bool {
    is_library(function) || function.contains("{closure") || function.starts_with(scenario)
}
