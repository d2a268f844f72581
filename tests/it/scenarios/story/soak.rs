//! A day of watch in simulated time: it does what is needed, and no more.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use llama_orch::plan::Plan;
use llama_orch::watch::schedule::{Schedule, Wake};

use super::{Story, is};

const DAY: Duration = Duration::from_hours(24);
/// From then on nothing happens any more.
const CALM: Duration = Duration::from_hours(23);
const RESYNC: Duration = Duration::from_mins(5);
/// What nobody ever touches.
const STEADY: &str = "steady";
const OTHERS: [&str; 4] = ["chat", "draft", "embed", "rerank"];
const GOOD: [&str; 3] = ["b9414", "b9553", "b9555"];
/// Does not pass its gate.
const BAD: &str = "b9600";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Edit,
    Break,
    Mend,
    Crash,
    LoseSupervisor,
    Unreachable,
    Reachable,
    Spoil,
    Whole,
    Suspend,
    Resume,
    Hangup,
    Calm,
}

const EVENTS: [Event; 12] = [
    Event::Edit,
    Event::Break,
    Event::Mend,
    Event::Crash,
    Event::LoseSupervisor,
    Event::Unreachable,
    Event::Reachable,
    Event::Spoil,
    Event::Whole,
    Event::Suspend,
    Event::Resume,
    Event::Hangup,
];

struct Day {
    story: Story,
    schedule: Schedule,
    random: fastrand::Rng,
    begin: Timestamp,
    events: VecDeque<(Duration, Event)>,
    pins: BTreeMap<&'static str, &'static str>,
    edits: BTreeMap<&'static str, usize>,
    starts: BTreeMap<String, usize>,
    stops: BTreeMap<String, usize>,
    woken: usize,
    passes: usize,
    superseded: usize,
    held: usize,
    untils: BTreeSet<Timestamp>,
}

#[test]
fn a_day_of_watch_does_what_is_needed_and_no_more() {
    let mut seen = [0; 3];
    for seed in 1..=2 {
        let day = Day::new(seed).live();
        for (seen, of_day) in
            seen.iter_mut()
                .zip([day.superseded, day.held, day.stops.values().sum()])
        {
            *seen += of_day;
        }
    }
    assert!(
        seen.iter().all(|seen| *seen >= 4),
        "the days are dull: {seen:?}"
    );
}

impl Day {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut events = VecDeque::new();
        let mut at = Duration::from_mins(5);
        while at < CALM {
            events.push_back((at, EVENTS[random.usize(..EVENTS.len())]));
            at += Duration::from_secs(random.u64(60..900));
            // Who edits is seldom done with it at once.
            if random.u8(..4) == 0 {
                events.push_back((at, Event::Edit));
                at += Duration::from_secs(random.u64(1..14));
                events.push_back((at, Event::Edit));
            }
        }
        events.push_back((CALM, Event::Calm));
        let mut story = Story::new();
        for tag in GOOD.into_iter().chain([BAD]) {
            story.releases.publish(is(tag));
        }
        story.machine.world().bad.insert(is(BAD));
        let begin = story.machine.world().now;
        let pins = OTHERS.into_iter().chain([STEADY]);
        let mut day = Self {
            story,
            schedule: Schedule::new(seed),
            random,
            begin,
            events,
            pins: pins.map(|name| (name, GOOD[0])).collect(),
            edits: BTreeMap::new(),
            starts: BTreeMap::new(),
            stops: BTreeMap::new(),
            woken: 0,
            passes: 0,
            superseded: 0,
            held: 0,
            untils: BTreeSet::new(),
        };
        day.write_manifest();
        day
    }

    fn live(mut self) -> Self {
        self.wake(Wake::Started);
        while self.now() < DAY {
            let event = self.events.front().map(|(at, _)| *at);
            let by_itself = self.story.machine.world().due();
            let by_itself = by_itself.map(|due| since(self.begin, due));
            let next = [self.schedule.due(), event, by_itself];
            self.advance_to(next.into_iter().flatten().min().unwrap_or(DAY).min(DAY));
            while self.events.front().is_some_and(|(at, _)| *at <= self.now()) {
                self.happen();
            }
            if self.schedule.begin(self.now()).is_some() {
                if self.random.u8(..50) == 0 {
                    self.schedule.deferred(self.now());
                } else {
                    self.pass();
                }
            }
        }
        self.judge();
        self
    }

    fn now(&self) -> Duration {
        since(self.begin, self.story.machine.world().now)
    }

    fn advance_to(&mut self, then: Duration) {
        let time = then.saturating_sub(self.now());
        self.story.machine.world().advance(time);
        self.listen();
    }

    fn wake(&mut self, wake: Wake) {
        self.woken += 1;
        self.schedule.woken(wake, self.now());
    }

    /// Counts what was told to have happened, each of which is another state.
    fn listen(&mut self) {
        self.story.say_what_happened();
        let told = std::mem::take(&mut self.story.told);
        let mut happened = false;
        for line in told.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                [_, name, "was", "stopped"] => {
                    *self.stops.entry((*name).to_owned()).or_default() += 1;
                }
                [_, name, "starts", ..] => *self.starts.entry((*name).to_owned()).or_default() += 1,
                _ => {}
            }
            happened |=
                line.starts_with("    ") && words.first().is_some_and(|at| at.contains(':'));
        }
        if happened {
            self.wake(Wake::States);
        }
    }

    fn pass(&mut self) {
        self.passes += 1;
        let edit = self
            .events
            .front()
            .filter(|(_, event)| *event == Event::Edit);
        let soon = self.now() + Duration::from_secs(15);
        let edit = edit.map(|(at, _)| *at).filter(|at| *at < soon);
        let plan = self.story.watch(edit.is_some());
        self.listen();
        if let Some(at) = edit.filter(|_| plan.as_ref().is_some_and(Plan::has_changes)) {
            self.advance_to(at);
            self.happen();
            self.advance_to(self.now() + Duration::from_millis(100));
            assert!(
                self.schedule.supersedes(self.now()),
                "newer files supersede"
            );
            self.superseded += 1;
        }
        let until = plan.as_ref().and_then(Plan::wake_at);
        let hold_in = until.map(|until| since(self.begin, until).saturating_sub(self.now()));
        self.held += plan.map_or(0, |plan| plan.holds().len());
        self.untils.extend(until);
        self.schedule.ended(self.now(), RESYNC, hold_in);
        let remembered = self.story.watched.attempts.len();
        assert!(
            remembered <= 2 * self.pins.len(),
            "{remembered} failures are remembered"
        );
        let size = format!("{:?}", self.schedule).len();
        assert!(size < 4096, "the schedule grows: {size}");
    }

    fn write_manifest(&mut self) {
        let mut text = "version: 1\ninstances:\n".to_owned();
        for (index, (name, build)) in self.pins.iter().enumerate() {
            let _ = writeln!(
                text,
                "  {name}: {{ binary: {{ version: {build} }}, model: {{ path: models/{name}.gguf }}, server: {{ port: {} }} }}",
                8071 + index
            );
        }
        self.story.manifest = text;
    }

    fn edited(&mut self) {
        self.wake(Wake::Files("orchestrator.yaml".to_owned()));
    }

    fn pin(&mut self, name: &'static str, build: &'static str) {
        if self.pins.insert(name, build) != Some(build) {
            *self.edits.entry(name).or_default() += 1;
        }
    }

    fn reach(&mut self, reachable: bool) {
        self.story.reach(reachable);
    }

    fn happen(&mut self) {
        let Some((_, event)) = self.events.pop_front() else {
            return;
        };
        let name = OTHERS[self.random.usize(..OTHERS.len())];
        match event {
            Event::Edit => {
                let build = self.random.usize(..=GOOD.len());
                self.pin(name, GOOD.get(build).copied().unwrap_or(BAD));
                self.write_manifest();
                self.edited();
            }
            Event::Break => {
                self.story.manifest = self
                    .story
                    .manifest
                    .replace("version: 1\n", "version: one\n");
                self.edited();
            }
            Event::Mend => {
                self.write_manifest();
                self.edited();
            }
            Event::Crash if self.story.machine.world().is_proven(&is(name)) => {
                self.story.machine.world().crash(&is(name));
            }
            Event::LoseSupervisor if self.story.machine.world().is_well(&is(name)) => {
                self.story.machine.world().lose_supervisor(&is(name));
                // Nobody writes that down.
                self.story.machine.world().journal.clear();
            }
            Event::Crash | Event::LoseSupervisor => {}
            Event::Unreachable => self.reach(false),
            Event::Reachable => self.reach(true),
            Event::Spoil => drop(self.story.machine.world().spoiled.insert(is(GOOD[2]))),
            Event::Whole => self.story.machine.world().spoiled.clear(),
            Event::Suspend => self.story.machine.world().suspend(&is(name), None),
            Event::Resume => self.resume_all(),
            Event::Hangup => self.wake(Wake::Hangup),
            Event::Calm => {
                self.reach(true);
                self.story.machine.world().spoiled.clear();
                self.resume_all();
                for name in OTHERS {
                    self.pin(name, GOOD[0]);
                }
                self.write_manifest();
                self.edited();
            }
        }
        self.listen();
    }

    fn resume_all(&mut self) {
        for name in OTHERS {
            self.story.machine.world().resume(&is(name));
        }
    }

    fn judge(&mut self) {
        // Each up to a tenth early.
        let resyncs = DAY.as_secs() * 10 / (RESYNC.as_secs() * 9) + 1;
        let resyncs = usize::try_from(resyncs).expect("few");
        let most = resyncs + self.woken + self.untils.len();
        assert!(
            self.passes <= most,
            "{} passes, and {most} are enough",
            self.passes
        );
        assert!(self.passes >= resyncs / 2, "only {} passes", self.passes);

        assert_eq!(self.starts.get(STEADY), Some(&1), "nobody touched it");
        assert_eq!(self.stops.get(STEADY), None, "nobody touched it");
        for name in OTHERS {
            let edits = self.edits.get(name).copied().unwrap_or_default();
            let stops = self.stops.get(name).copied().unwrap_or_default();
            assert!(
                stops <= edits,
                "{name} was edited {edits} times and stopped {stops} times"
            );
        }

        let edits: usize = self.edits.values().sum();
        let asked = self.story.releases.asked;
        let enough = 4 * (edits + 24 * 6);
        assert!(asked <= enough, "the source was asked {asked} times");

        let plan = self
            .story
            .pass(&["unattended"])
            .expect("a good manifest")
            .plan;
        assert!(plan.is_converged(), "at the end of the day:\n{plan}");
        for name in self.pins.keys() {
            assert!(
                self.story.machine.world().is_well(&is(name)),
                "{name} is not up"
            );
        }
    }
}

fn since(begin: Timestamp, at: Timestamp) -> Duration {
    at.duration_since(begin).try_into().unwrap_or_default()
}
