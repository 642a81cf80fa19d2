//! Compares what the API says of each task with what the devices have done.

use std::collections::HashMap;
use std::fmt;

use cwmp::{DateTime, Request};
use serde_json::Value;

use super::Session;
use super::server::Server;

/// A task that the API has acknowledged.
pub struct Made {
    pub id: String,
    pub serial: String,
    pub operation: Value,
}

/// Sessions of the devices, and in which of them each task ran.
pub struct Judge {
    sessions: Vec<Session>,
    /// By the key that a task's RPC carries, its id.
    keyed: HashMap<String, Vec<usize>>,
    /// By the device and the names, which no two tasks have in common.
    read: HashMap<(String, Vec<String>), Vec<usize>>,
    /// When, in seconds since 1970.
    kills: Vec<i64>,
}

/// What came out, for people.
#[derive(Default)]
pub struct Verdict {
    sessions: usize,
    broken: usize,
    made: usize,
    done: usize,
    /// Ran more than once, as they may.
    repeated: usize,
    unknown: usize,
    /// By the device.
    refused: usize,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdict {
            sessions,
            broken,
            made,
            done,
            repeated,
            unknown,
            refused,
        } = self;
        write!(
            f,
            "{made} tasks acknowledged, {done} done ({repeated} of them ran more than once), \
             {unknown} with unknown outcome, {refused} refused by the device; {sessions} sessions, {broken} of them broken"
        )
    }
}

impl Judge {
    pub fn new(sessions: Vec<Session>, kills: Vec<i64>) -> Judge {
        let mut keyed: HashMap<String, Vec<usize>> = HashMap::new();
        let mut read: HashMap<(String, Vec<String>), Vec<usize>> = HashMap::new();
        for (number, session) in sessions.iter().enumerate() {
            for served in &session.record.served {
                let key = match &served.request {
                    Request::Reboot(key) => key,
                    Request::AddObject(add) => &add.parameter_key,
                    Request::SetParameterValues(set) => &set.parameter_key,
                    Request::GetParameterValues(names) => {
                        let names = (session.serial.to_string(), names.clone());
                        read.entry(names).or_default().push(number);
                        continue;
                    }
                    _ => continue,
                };
                // A flow's carry no task's id.
                if key.starts_with("t-") {
                    keyed.entry(key.clone()).or_default().push(number);
                }
            }
        }
        Judge {
            sessions,
            keyed,
            read,
            kills,
        }
    }

    /// Fails where a promise was broken.
    pub async fn verdict(&self, server: &Server, made: &[Made]) -> Verdict {
        let tasks = all_tasks(server).await;
        for id in self.keyed.keys() {
            assert!(tasks.contains_key(id), "{id} ran, and nobody knows it");
        }
        let mut verdict = Verdict {
            sessions: self.sessions.len(),
            broken: self
                .sessions
                .iter()
                .filter(|session| session.broken)
                .count(),
            ..Verdict::default()
        };
        for made in made {
            let Some(task) = tasks.get(&made.id) else {
                panic!(
                    "{} of {} was acknowledged and is lost: {}",
                    made.id, made.serial, made.operation
                )
            };
            assert_eq!(task["operation"]["op"], made.operation["op"], "{task}");
            verdict.made += 1;
        }
        // Those that were not acknowledged, because the kill came first, keep the same rules.
        for task in tasks.values() {
            self.judge(task, &mut verdict);
        }
        for made in made.iter().step_by(97) {
            server.api().get(&format!("/v1/tasks/{}", made.id)).await;
        }
        assert!(
            verdict.made > 500 && verdict.done > 500,
            "too little load to tell: {verdict}"
        );
        assert!(
            verdict.broken > 25,
            "too few sessions were broken: {verdict}"
        );
        assert!(
            verdict.repeated + verdict.unknown > 0,
            "no kill came between request and answer: {verdict}"
        );
        verdict
    }

    fn judge(&self, task: &Value, verdict: &mut Verdict) {
        let runs = self.runs(task);
        let attempts = task["attempts"].as_u64().unwrap() as usize;
        let op = task["operation"]["op"].as_str().unwrap();
        let repeatable = matches!(op, "get" | "set");
        assert!(runs.len() <= attempts, "ran {} times: {task}", runs.len());
        if !repeatable {
            assert!(attempts <= 1, "sent again: {task}");
        }
        let kills = self.kills_in_its_time(task);
        assert!(attempts <= 1 + kills, "{kills} kills in its time: {task}");
        let last = runs.len().saturating_sub(1);
        for (number, session) in runs.iter().enumerate() {
            let session = &self.sessions[*session];
            assert!(
                number == last || session.broken,
                "ran again after a session that did not break: {task}"
            );
        }
        assert!(
            runs.windows(2).all(|pair| pair[0] != pair[1]),
            "ran twice in one session: {task}"
        );
        match task["state"].as_str().unwrap() {
            "done" => {
                assert!(!runs.is_empty(), "done, and it never ran: {task}");
                verdict.done += 1;
                verdict.repeated += usize::from(runs.len() > 1);
            }
            "failed" => {
                let why = task["error"]["text"].as_str().unwrap();
                if why.contains("Resources exceeded") {
                    // The device's own answer: its tables have an end.
                    assert!(op == "add-object" && runs.len() == 1, "{task}");
                    verdict.refused += 1;
                } else if why.contains("outcome unknown") {
                    assert!(!repeatable, "{task}");
                    verdict.unknown += 1;
                } else {
                    assert!(
                        repeatable && why.contains("no answer in 5 sessions"),
                        "{task}"
                    );
                }
            }
            _ => panic!("not at its end: {task}"),
        }
    }

    /// The sessions in which a task ran.
    fn runs(&self, task: &Value) -> &[usize] {
        let found = match task["operation"]["op"].as_str() {
            Some("get") => {
                let paths = task["operation"]["paths"].as_array().unwrap();
                let paths = paths
                    .iter()
                    .map(|path| path.as_str().unwrap().to_owned())
                    .collect();
                let device = task["device"].as_str().unwrap();
                let serial = device.rsplit('-').next().unwrap().to_owned();
                self.read.get(&(serial, paths))
            }
            _ => self.keyed.get(task["id"].as_str().unwrap()),
        };
        found.map_or(&[], Vec::as_slice)
    }

    fn kills_in_its_time(&self, task: &Value) -> usize {
        let time = |name: &str| {
            DateTime(task[name].as_str().unwrap().to_owned())
                .to_unix()
                .unwrap()
        };
        let its_time = time("created")..=time("ended");
        self.kills
            .iter()
            .filter(|kill| its_time.contains(kill))
            .count()
    }
}

/// All tasks of the API, by id.
async fn all_tasks(server: &Server) -> HashMap<String, Value> {
    let mut tasks = HashMap::new();
    let mut after = String::new();
    loop {
        let page = server
            .api()
            .get(&format!("/v1/tasks?limit=1000{after}"))
            .await;
        for task in page["items"].as_array().unwrap() {
            tasks.insert(task["id"].as_str().unwrap().to_owned(), task.clone());
        }
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return tasks,
        }
    }
}
