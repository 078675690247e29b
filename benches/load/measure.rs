//! What processes use, from `/proc`.

use std::fs;
use std::time::Duration;

use crate::Outcome;

/// The kernel counts processor time for user programs in ticks of this length.
const TICK: Duration = Duration::from_millis(10);

/// The numbers of `/proc/<pid>/stat` that matter here.
struct Stat {
    parent: u32,
    own: Duration,
    ended_children: Duration,
}

impl Stat {
    fn of(process: &str) -> Outcome<Self> {
        let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
        // The second field is the name in brackets, which may hold anything.
        let (_, rest) = stat.rsplit_once(')').ok_or("not a process")?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let ticks =
            |field: usize| -> Outcome<u32> { Ok(fields.get(field).ok_or("short stat")?.parse()?) };
        Ok(Self {
            parent: ticks(1)?,
            own: TICK * (ticks(11)? + ticks(12)?),
            ended_children: TICK * (ticks(13)? + ticks(14)?),
        })
    }
}

/// Process id of the parent.
pub(crate) fn parent(pid: u32) -> Outcome<u32> {
    Ok(Stat::of(&pid.to_string())?.parent)
}

/// Processor time of a process.
pub(crate) fn cpu_of_process(pid: u32) -> Outcome<Duration> {
    Ok(Stat::of(&pid.to_string())?.own)
}

/// Processor time of a process and all its children, those that ended included.
pub(crate) fn cpu_of_family(parent: u32) -> Outcome<Duration> {
    let mut head = Stat::of(&parent.to_string())?;
    loop {
        let children = cpu_of_children(parent)?;
        let again = Stat::of(&parent.to_string())?;
        // A child that ends in between would be counted twice or not at all.
        if again.ended_children == head.ended_children {
            return Ok(again.own + again.ended_children + children);
        }
        head = again;
    }
}

fn cpu_of_children(parent: u32) -> Outcome<Duration> {
    let entries = fs::read_dir("/proc")?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let pids = names.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    let stats = pids.filter_map(|pid| Stat::of(&pid).ok());
    let children = stats.filter(|stat| stat.parent == parent);
    Ok(children.map(|stat| stat.own).sum())
}

/// Processor time of the thread of that name.
pub(crate) fn cpu_of_thread(pid: u32, name: &str) -> Outcome<Duration> {
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = entry?.path();
        if fs::read_to_string(task.join("comm"))?.trim() == name {
            let task = task.strip_prefix("/proc")?.display().to_string();
            return Ok(Stat::of(&task)?.own);
        }
    }
    Err(format!("process {pid} has no thread {name}").into())
}

/// Processor time of this thread.
pub(crate) fn cpu_of_this_thread() -> Outcome<Duration> {
    Ok(Stat::of("thread-self")?.own)
}

/// Physical memory that a process holds, in bytes.
pub(crate) fn resident_bytes(pid: u32) -> Outcome<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.strip_suffix(" kB"));
    Ok(kib.ok_or("no VmRSS")?.trim().parse::<u64>()? * 1024)
}
