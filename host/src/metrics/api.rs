//! Requests at the API, by route and status. Routes are those of the program: there are so many and no more.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;

use super::histogram::ANSWERS;
use super::{Exposition, Histogram};

/// What is counted of the API. Its requests are few beside those of devices: a lock does.
#[derive(Debug, Default)]
pub struct ApiRequests {
    /// By method and route.
    routes: Mutex<BTreeMap<(&'static str, String), Route>>,
}

#[derive(Debug)]
struct Route {
    seconds: Histogram,
    by_status: BTreeMap<u16, u64>,
}

impl ApiRequests {
    /// A request was answered. `route` is the pattern that matched (`/devices/{id}`), `None` where none did;
    /// `took` is without the time that the caller chose to wait for a device.
    pub fn answered(
        &self,
        method: &http::Method,
        route: Option<&str>,
        status: http::StatusCode,
        took: Duration,
    ) {
        let key = (verb(method), route.unwrap_or("none").to_owned());
        let mut routes = self.routes.lock();
        let route = routes.entry(key).or_insert_with(|| Route {
            seconds: Histogram::new(ANSWERS),
            by_status: BTreeMap::new(),
        });
        route.seconds.observe(took);
        *route.by_status.entry(status.as_u16()).or_default() += 1;
    }

    pub(super) fn tell(&self, out: &mut Exposition) {
        let routes = self.routes.lock();
        let mut requests = out.counters("patchbay_api_requests", "Requests at the API.");
        for ((method, route), counted) in &*routes {
            for (status, count) in &counted.by_status {
                let status = status.to_string();
                let labels = [("method", *method), ("route", route), ("status", &status)];
                requests.sample(&labels, count);
            }
        }
        let mut seconds = out.histograms(
            "patchbay_api_request_seconds",
            "From a request at the API to its answer, without the time that its caller chose to wait for a device.",
        );
        for ((method, route), counted) in &*routes {
            seconds.histogram(&[("method", *method), ("route", route)], &counted.seconds);
        }
    }
}

/// The method, if it is one that is used: clients may write what they like.
fn verb(method: &http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
