//! When the API server is asked again after it did not answer.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use kube::runtime::utils::Backoff as _;
use kube::runtime::watcher::DefaultBackoff;
use tokio::sync::Notify;
use tokio::time::sleep;

/// It is asked no more often, whoever waits.
const SHORTEST: Duration = Duration::from_millis(250);
/// [`DefaultBackoff`]'s longest, for where it has none to tell.
const LONGEST: Duration = Duration::from_secs(30);

/// Pauses between tries. They grow to half a minute, but end when a pod is wanted: the kubelet has just started its
/// container, so the API server has most likely come back.
pub(super) struct Retry {
    wanted: Arc<Notify>,
    backoff: DefaultBackoff,
    away: bool,
}

impl Retry {
    pub(super) fn new(wanted: Arc<Notify>) -> Self {
        Self { wanted, backoff: DefaultBackoff::default(), away: false }
    }

    /// The API server did not answer.
    pub(super) fn failed(&mut self, error: &(dyn Error + 'static)) {
        if !std::mem::replace(&mut self.away, true) {
            tracing::warn!(error, "the Kubernetes API does not tell of pods: new ones lack what only it knows");
        }
    }

    /// Returns when it is to be asked again.
    pub(super) async fn pause(&mut self) {
        let longest = self.backoff.next().unwrap_or(LONGEST);
        sleep(SHORTEST).await;
        tokio::select! {
            () = sleep(longest.saturating_sub(SHORTEST)) => {}
            () = self.wanted.notified() => {}
        }
    }

    /// The API server has answered.
    pub(super) fn answered(&mut self) {
        self.backoff.reset();
        if std::mem::take(&mut self.away) {
            tracing::info!("the Kubernetes API tells of pods again");
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_and_end_when_a_pod_is_wanted() {
        let wanted = Arc::new(Notify::new());
        let mut retry = Retry::new(Arc::clone(&wanted));
        for _ in 0..10 {
            retry.pause().await;
        }
        let start = Instant::now();
        retry.pause().await;
        assert!(start.elapsed() > Duration::from_secs(5), "{:?}", start.elapsed());

        let start = Instant::now();
        wanted.notify_one();
        retry.pause().await;
        assert!(start.elapsed() < SHORTEST * 2, "{:?}", start.elapsed());
        let later = tokio::spawn(async move {
            sleep(Duration::from_secs(2)).await;
            wanted.notify_one();
        });
        let start = Instant::now();
        retry.pause().await;
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
        later.await.unwrap();

        retry.answered();
        let start = Instant::now();
        retry.pause().await;
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }
}
