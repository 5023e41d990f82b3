//! Questions put to the container runtime: not too many at once, and none for ever.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use super::channel::Error;
use super::path::Candidate;
use super::runtime::{Link, State};
use super::table::{Key, Metadata};

/// Questions that are put at once.
const RUNNING_MAX: usize = 64;
/// First pause between two tries; a container's record is written just before its cgroup, so there is mostly no second.
const TRY_AGAIN: Duration = Duration::from_millis(50);

/// Whose is the cgroup?
#[derive(Debug)]
pub(super) struct Question {
    /// Id of the cgroup.
    pub(super) cgroup: u64,
    /// Who may live there, outermost first.
    pub(super) candidates: Vec<Candidate>,
    /// From then on the answer comes too late.
    pub(super) until: Instant,
}

/// The cgroup that was asked about and who lives there; `None`: the runtime does not know, or did not say.
pub(super) type Answer = (u64, Option<(Key, Metadata)>);

/// Open questions, one per cgroup.
#[derive(Debug)]
pub(super) struct Questions {
    open: HashSet<u64>,
    waiting: VecDeque<Question>,
    running: JoinSet<Answer>,
    state: watch::Receiver<State>,
    suspect: mpsc::Sender<()>,
}

impl Questions {
    pub(super) fn new(link: &Link) -> Self {
        Self {
            open: HashSet::new(),
            waiting: VecDeque::new(),
            running: JoinSet::new(),
            state: link.state.clone(),
            suspect: link.suspect.clone(),
        }
    }

    /// Asks, unless the same was asked and has no answer yet.
    pub(super) fn ask(&mut self, question: Question) {
        if self.open.insert(question.cgroup) {
            self.waiting.push_back(question);
            self.start();
        }
    }

    /// Whether an answer to `candidates` can come at all.
    pub(super) fn can_answer(&self, candidates: &[Candidate]) -> bool {
        is_certain(candidates) || !matches!(*self.state.borrow(), State::Down)
    }

    /// The next answer; waits for ever where nothing was asked. Dropping the future loses nothing.
    pub(super) async fn answer(&mut self) -> Answer {
        loop {
            match self.running.join_next().await {
                Some(Ok(answer)) => {
                    self.open.remove(&answer.0);
                    self.start();
                    return answer;
                }
                Some(Err(error)) => tracing::error!(%error, "a question to the container runtime was lost"),
                None => std::future::pending().await,
            }
        }
    }

    fn start(&mut self) {
        while self.running.len() < RUNNING_MAX
            && let Some(question) = self.waiting.pop_front()
        {
            self.running.spawn(put(question, self.state.clone(), self.suspect.clone()));
        }
    }
}

async fn put(question: Question, mut state: watch::Receiver<State>, suspect: mpsc::Sender<()>) -> Answer {
    let Question { cgroup, candidates, until } = question;
    let mut pause = TRY_AGAIN;
    let certain = is_certain(&candidates);
    loop {
        // What may be no container at all does not wait for a runtime that is away.
        let ready = |state: &State| matches!(state, State::Up(_)) || (matches!(state, State::Down) && !certain);
        let runtime = match timeout_at(until, state.wait_for(ready)).await {
            Ok(Ok(state)) => match &*state {
                State::Up(runtime) => runtime.clone(),
                State::Connecting | State::Down => return (cgroup, None),
            },
            _ => return (cgroup, None),
        };
        match runtime.find(&candidates).await {
            Ok(Some(found)) => return (cgroup, Some(found)),
            Ok(None) => {}
            Err(error) => {
                tracing::debug!(
                    cgroup,
                    error = &error as &dyn std::error::Error,
                    "no answer from the container runtime"
                );
                if matches!(error, Error::Silent) {
                    // Full: somebody else has said so.
                    let _full = suspect.try_send(());
                }
            }
        }
        if !certain || Instant::now() + pause >= until {
            return (cgroup, None);
        }
        sleep(pause).await;
        pause *= 2;
    }
}

/// Whether one of the candidates must be a container, of whatever runtime.
fn is_certain(candidates: &[Candidate]) -> bool {
    candidates.iter().any(|candidate| matches!(candidate, Candidate::Id(_)))
}
