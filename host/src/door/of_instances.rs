//! The listeners that instances have for themselves: they come and go while the host runs.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Entrance, To, serve};
use crate::Acs;

/// Where, whether over TLS, and whose.
type Own = (SocketAddr, bool, Arc<str>);

/// When to try again what could not be listened on.
const RETRY: Duration = Duration::from_secs(10);

/// Serves what the instances' settings name, as they change, until `shutdown`.
pub async fn serve_instances(acs: Arc<Acs>, mut shutdown: watch::Receiver<bool>) {
    let mut changes = acs.instances.changes();
    let mut serving: BTreeMap<Own, watch::Sender<bool>> = BTreeMap::new();
    let mut tasks = JoinSet::new();
    loop {
        changes.mark_unchanged();
        let wanted = acs.instances.listeners();
        serving.retain(|own, stop| {
            let stays = wanted.contains(own);
            if !stays {
                stop.send_replace(true);
            }
            stays
        });
        let mut all = true;
        for own in wanted {
            if serving.contains_key(&own) {
                continue;
            }
            match listen(&acs, &own).await {
                Ok((listener, to)) => {
                    let (stop, stopped) = watch::channel(false);
                    let entrance = Entrance {
                        to,
                        instance: Some(Arc::clone(&own.2)),
                    };
                    tasks.spawn(serve(Arc::clone(&acs), listener, entrance, stopped));
                    serving.insert(own, stop);
                }
                Err(error) => {
                    let (address, _, instance) = &own;
                    tracing::error!(%instance, %address, error, "cannot listen for the instance");
                    all = false;
                }
            }
        }
        let again = async {
            match all {
                true => std::future::pending().await,
                false => tokio::time::sleep(RETRY).await,
            }
        };
        tokio::select! {
            _ = changes.changed() => {}
            () = again => {}
            Some(_) = tasks.join_next() => {}
            _ = shutdown.wait_for(|stop| *stop) => break,
        }
    }
    for stop in serving.values() {
        stop.send_replace(true);
    }
    while tasks.join_next().await.is_some() {}
}

async fn listen(acs: &Acs, (address, tls, instance): &Own) -> Result<(TcpListener, To), String> {
    let to = match (tls, &acs.tls) {
        (false, _) => To::Plain,
        (true, Some(tls)) => To::Tls(Arc::clone(tls)),
        (true, None) => return Err("there is no certificate (cwmp.tls)".to_owned()),
    };
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|error| error.to_string())?;
    let at = listener.local_addr().map_err(|error| error.to_string())?;
    tracing::info!(%instance, address = %at, tls, "listening for the instance");
    Ok((listener, to))
}
