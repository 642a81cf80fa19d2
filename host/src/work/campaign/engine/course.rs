//! The course of a campaign: its waves, when one has failed, and what people decide.

use super::super::definition::OnFailedWave;
use super::super::record::{CampaignState, Counts, DeviceState, Phase};
use super::going::Withdrawal;
use super::{Engine, expected_version};
use crate::device::UnixTime;
use crate::events::CampaignStep;

/// Devices that come to their end in one step because the campaign does.
const ENDED_AT_ONCE: usize = 2_000;

impl Engine {
    /// Time has passed, or something was told: what follows from it. The tasks that are to be
    /// taken back, so many at most.
    pub fn step(&mut self, now: UnixTime, max: usize) -> Vec<Withdrawal> {
        let mut withdrawals = self.pass(now, max);
        self.progress(now);
        let left = max.saturating_sub(withdrawals.len());
        withdrawals.extend(self.withdrawals(now, left));
        self.tell_state(now);
        withdrawals
    }

    /// It is started: its devices are all in it.
    pub fn start(&mut self, target_version: Option<String>, now: UnixTime) {
        let waves = self.entries.iter().map(|entry| entry.record.wave + 1);
        self.head.waves = waves.max().unwrap_or(0);
        self.head.target_version = target_version;
        self.head.phase = Phase::Active;
        self.head.started = Some(now);
        self.head_dirty = true;
        for at in 0..self.entries.len() {
            self.mark(at);
        }
        let (devices, waves) = (self.total().total(), self.head.waves);
        let text = format!("started: {devices} devices in {waves} waves");
        self.tell(now, CampaignStep::Started, None, text);
        self.open_wave(0, now);
    }

    /// After a restart of the host, once all tasks have been told.
    pub fn go_on(&mut self) {
        self.starts.make_contiguous().sort_unstable();
        for at in 0..self.entries.len() {
            let Some(entry) = self.entry(at) else {
                continue;
            };
            let record = &entry.record;
            if record.state.is_before() && record.wave <= self.head.wave {
                match record.not_before {
                    Some(next) => self.change(at, |entry| entry.due = Some(next)),
                    None => self.line_up(at),
                }
            }
            let Some(entry) = self.entry(at) else {
                continue;
            };
            if entry.record.state == DeviceState::Verifying && entry.due.is_none() {
                let half = self.definition.not_back() / 2;
                let due = entry.record.done.unwrap_or_default() + half;
                self.change(at, |entry| entry.due = Some(due));
            }
        }
    }

    /// No device is begun until it is resumed. `why`: "by anna: …".
    ///
    /// # Errors
    /// It is not going on.
    pub fn pause(&mut self, why: &str, now: UnixTime) -> Result<(), String> {
        if self.head.phase != Phase::Active || self.head.failing.is_some() {
            return Err(self.expected("a campaign that goes on", now));
        }
        self.pause_because(format!("paused {why}"), now);
        Ok(())
    }

    fn pause_because(&mut self, why: String, now: UnixTime) {
        self.head.phase = Phase::Paused;
        let wave = self.head.wave;
        self.tell(now, CampaignStep::Paused, Some(wave), why.clone());
        self.head.why = Some(why);
        self.head_dirty = true;
    }

    /// It goes on; what its stop rules have counted so far is forgiven.
    ///
    /// # Errors
    /// It is not paused.
    pub fn resume(&mut self, who: &str, now: UnixTime) -> Result<(), String> {
        if self.head.phase != Phase::Paused {
            return Err(self.expected("a campaign that is paused", now));
        }
        self.head.phase = Phase::Active;
        self.head.why = None;
        self.head.forgiven = self.counts.clone();
        let wave = self.head.wave;
        let text = format!("resumed by {who}");
        self.tell(now, CampaignStep::Resumed, Some(wave), text);
        Ok(())
    }

    /// No device is begun any more.
    ///
    /// # Errors
    /// It has ended.
    pub fn abort(&mut self, why: &str, now: UnixTime) -> Result<(), String> {
        if !self.head.phase.is_live() || self.head.phase == Phase::Aborting {
            return Err(self.expected("a campaign that goes on or is paused", now));
        }
        self.abort_because(format!("aborted {why}"), now);
        Ok(())
    }

    fn abort_because(&mut self, why: String, now: UnixTime) {
        self.head.phase = Phase::Aborting;
        self.head.failing = None;
        let wave = self.head.wave;
        self.tell(now, CampaignStep::Aborted, Some(wave), why.clone());
        self.head.why = Some(why);
    }

    /// The next wave may begin.
    ///
    /// # Errors
    /// None waits for that.
    pub fn approve(&mut self, who: &str, now: UnixTime) -> Result<u16, String> {
        let next = self.next_wave().filter(|next| self.needs_approval(*next));
        let Some(next) = next.filter(|_| self.head.phase.is_live()) else {
            return Err(self.expected("a campaign whose next wave waits for approval", now));
        };
        self.head.approved = next;
        self.note(now, format!("wave {} approved by {who}", next + 1));
        Ok(next)
    }

    /// The devices that were changed get back what they had: those of one wave, or all.
    ///
    /// # Errors
    /// It does not bring a firmware, or is being aborted or rolled back.
    pub fn roll_back(
        &mut self,
        wave: Option<u16>,
        why: &str,
        now: UnixTime,
    ) -> Result<u32, String> {
        if self.what != super::What::Firmware {
            return Err("expected a campaign that brings a firmware, got another one".to_owned());
        }
        let under_way = self.under_way();
        if matches!(self.head.phase, Phase::Draft | Phase::RollingBack) || under_way > 0 {
            let expected =
                "a campaign that was paused, has ended or was aborted, with nothing under way";
            let got = self.expected(expected, now);
            return Err(format!("{got}, with {under_way} devices under way"));
        }
        self.head.phase = Phase::RollingBack;
        self.head.failing = None;
        self.head.ended = None;
        let mut going_back = 0;
        for at in 0..self.entries.len() {
            going_back += u32::from(self.turn_back(at, wave, now));
        }
        let why = format!("{going_back} devices are rolled back {why}");
        self.note(now, why.clone());
        self.head.why = Some(why);
        Ok(going_back)
    }

    fn turn_back(&mut self, at: usize, wave: Option<u16>, now: UnixTime) -> bool {
        let Some(entry) = self.entry(at) else {
            return false;
        };
        let record = &entry.record;
        if record.back && record.state.is_before() {
            // The host stopped when a part of them was marked.
            self.line_up(at);
            return true;
        }
        let is_changed = matches!(
            record.state,
            DeviceState::Done | DeviceState::Failed | DeviceState::NotBack
        );
        if is_changed
            && !record.back
            && record.task.is_some()
            && wave.is_none_or(|wave| record.wave == wave)
        {
            self.change(at, |entry| {
                let record = &mut entry.record;
                record.back = true;
                record.state = DeviceState::Pending;
                record.attempts = 0;
                (record.queued, record.not_before, record.reason) = (None, None, None);
                if record.version_before.is_none() {
                    record.version_before = Some(String::new());
                }
                entry.due = None;
            });
            self.line_up(at);
            return true;
        }
        if record.state.is_before() {
            self.end(
                at,
                DeviceState::Skipped,
                Some("the campaign was rolled back".to_owned()),
                now,
            );
        }
        false
    }

    fn expected(&mut self, what: &str, now: UnixTime) -> String {
        let (state, _) = self.state(now);
        let name = serde_json::to_value(state).unwrap_or_default();
        let name = name.as_str().unwrap_or_default();
        format!("expected {what}, got one that is {name}")
    }

    pub(super) fn next_wave(&self) -> Option<u16> {
        let next = self.head.wave + 1;
        (next < self.head.waves).then_some(next)
    }

    pub(super) fn needs_approval(&self, wave: u16) -> bool {
        self.definition.between_waves.approval && self.head.approved < wave
    }

    fn total(&self) -> Counts {
        let all = self.counts.iter();
        all.fold(Counts::default(), |sum, counts| sum.plus(counts))
    }

    /// Devices with a task, or that have to come back.
    fn under_way(&self) -> u32 {
        let total = self.total();
        total.queued + total.waking + total.sent + total.verifying
    }

    fn progress(&mut self, now: UnixTime) {
        match self.head.phase {
            Phase::Active if self.head.failing.is_some() => self.roll_back_failed(now),
            Phase::Active if self.definition.schedule.is_over(now) => {
                self.end_pending("the end of the campaign came first", now);
                self.close_if_ended(Phase::Done, "its end has come", now);
            }
            Phase::Active => self.progress_waves(now),
            Phase::Aborting => {
                self.end_pending("the campaign was aborted", now);
                self.close_if_ended(Phase::Aborted, "aborted", now);
            }
            Phase::RollingBack => self.close_if_ended(Phase::Aborted, "rolled back", now),
            Phase::Draft | Phase::Paused | Phase::Aborted | Phase::Done => {}
        }
    }

    fn progress_waves(&mut self, now: UnixTime) {
        let wave = self.head.wave;
        let counts = self.counts.get(usize::from(wave));
        let counts = counts.copied().unwrap_or_default();
        let share = self.definition.between_waves.ended_percent;
        // A wave does not wait for another campaign.
        let all = counts.total() - counts.conflict;
        let is_over = f64::from(counts.ended()) * 100.0 >= share * f64::from(all);
        if is_over && self.head.wave_ended.is_none() && self.next_wave().is_some() {
            self.head.wave_ended = Some(now);
            let Counts { done, skipped, .. } = counts;
            let (number, all) = (wave + 1, counts.total());
            let without = counts.ended() - done - skipped;
            let text = format!(
                "wave {number} is over: {done} of {all} done, {skipped} skipped, {without} without \
                 success"
            );
            self.tell(now, CampaignStep::WaveEnded, Some(wave), text);
        }
        if let (Some(ended), Some(next)) = (self.head.wave_ended, self.next_wave()) {
            let between = &self.definition.between_waves;
            let pause_over = now >= ended + i64::from(between.pause_seconds);
            let began = self.head.wave_began.unwrap_or(ended);
            let old_enough = now >= began + i64::from(between.age_seconds);
            if pause_over && old_enough && !self.needs_approval(next) {
                self.open_wave(next, now);
            }
            return;
        }
        let counts = self.total();
        let stays = self.definition.also_new_devices;
        if self.next_wave().is_none() && counts.ended() == counts.total() && !stays {
            self.close(Phase::Done, "done", now);
        }
    }

    fn open_wave(&mut self, wave: u16, now: UnixTime) {
        self.head.wave = wave;
        (self.head.wave_began, self.head.wave_ended) = (None, None);
        self.head_dirty = true;
        if wave > 0 {
            self.head.wave_began = Some(now);
            let counts = self.counts.get(usize::from(wave)).copied();
            let devices = counts.unwrap_or_default().total();
            let text = format!("wave {} begins: {devices} devices", wave + 1);
            self.tell(now, CampaignStep::WaveStarted, Some(wave), text);
        }
        for at in 0..self.entries.len() {
            let is_its = self.entry(at).is_some_and(|entry| {
                entry.record.wave == wave && entry.record.state == DeviceState::Pending
            });
            if is_its {
                self.line_up(at);
            }
        }
    }

    /// Devices that were never begun come to their end with the campaign.
    fn end_pending(&mut self, why: &str, now: UnixTime) {
        let pending = self
            .entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| !entry.gone && !entry.busy && entry.record.state.is_before());
        let pending: Vec<(usize, bool)> = pending
            .map(|(at, entry)| (at, entry.record.not_before.is_some()))
            .take(ENDED_AT_ONCE)
            .collect();
        for (at, was_tried) in pending {
            let state = match was_tried {
                true => DeviceState::Failed,
                false => DeviceState::Skipped,
            };
            let before = self.entry(at).and_then(|e| e.record.reason.clone());
            let reason = match before {
                Some(before) => format!("{why}; {before}"),
                None => why.to_owned(),
            };
            self.end(at, state, Some(reason), now);
        }
    }

    fn close_if_ended(&mut self, phase: Phase, why: &str, now: UnixTime) {
        let counts = self.total();
        if counts.ended() == counts.total() {
            self.close(phase, why, now);
        }
    }

    fn close(&mut self, phase: Phase, why: &str, now: UnixTime) {
        self.head.phase = phase;
        self.head.ended = Some(now);
        let Counts {
            done,
            failed,
            unreachable,
            not_back,
            skipped,
            rolled_back,
            ..
        } = self.total();
        let text = format!(
            "{why}: {done} done, {failed} failed, {unreachable} unreachable, {not_back} not back, \
             {skipped} skipped, {rolled_back} rolled back"
        );
        self.tell(now, CampaignStep::Finished, None, text);
    }

    /// Whether a wave has failed, now that one more of its devices has come to its end.
    pub(super) fn judge(&mut self, wave: u16, now: UnixTime) {
        if self.head.phase != Phase::Active || self.head.failing.is_some() {
            return;
        }
        let Some(why) = self.broken_rule(wave) else {
            return;
        };
        match self.definition.on_failed_wave {
            OnFailedWave::Pause => self.pause_because(format!("paused by a stop rule: {why}"), now),
            OnFailedWave::Abort => {
                self.abort_because(format!("aborted by a stop rule: {why}"), now)
            }
            OnFailedWave::RollBack => {
                self.note(now, format!("no further device is begun: {why}"));
                self.head.failing = Some(why);
            }
        }
    }

    fn broken_rule(&self, wave: u16) -> Option<String> {
        let place = usize::from(wave);
        let counts = self.counts.get(place)?;
        let forgiven = self.head.forgiven.get(place).copied().unwrap_or_default();
        let since = |state| counts.of(state).saturating_sub(forgiven.of(state));
        let [done, failed, not_back, unreachable] = [
            DeviceState::Done,
            DeviceState::Failed,
            DeviceState::NotBack,
            DeviceState::Unreachable,
        ]
        .map(since);
        let ended = done + failed + not_back + unreachable;
        let stop = &self.definition.stop;
        let rules = [
            (stop.failed, failed, "failed"),
            (stop.not_back, not_back, "are not back"),
            (stop.unreachable, unreachable, "did not come"),
        ];
        let broken = rules.into_iter().find_map(|(share, number, words)| {
            let share = share?;
            let over = f64::from(number) * 100.0 > share.percent * f64::from(ended);
            (number > 0 && number >= share.at_least && over).then_some((share, number, words))
        });
        let (share, number, words) = broken?;
        Some(format!(
            "{number} of {ended} devices of wave {} {words}, more than {} %",
            wave + 1,
            share.percent
        ))
    }

    /// Once nothing of it is under way.
    fn roll_back_failed(&mut self, now: UnixTime) {
        if self.under_way() > 0 {
            return;
        }
        let why = self.head.failing.as_deref().unwrap_or_default();
        let why = format!("because {why}");
        let wave = self.head.wave;
        // Nothing is under way, and it brings a firmware: its definition was checked.
        if let Err(error) = self.roll_back(Some(wave), &why, now) {
            self.abort_because(format!("aborted, and not rolled back: {error}"), now);
        }
    }

    fn tell_state(&mut self, now: UnixTime) {
        let (state, waits) = self.state(now);
        let before = self.shown.replace(state);
        if state != CampaignState::Waiting || before == Some(state) {
            return;
        }
        let next = self.next_change(now).map(crate::api::time);
        let text = match (waits, next) {
            (Some(super::Waits::Window), Some(next)) => format!("waits for its window, {next}"),
            (Some(super::Waits::Approval), _) => "waits for an approval".to_owned(),
            (Some(super::Waits::Wave), _) => "waits for the time of its next wave".to_owned(),
            _ => return,
        };
        self.note(now, text);
    }

    /// Whether a device has the version that it would get.
    pub fn has_target(&self, at: usize, version: &str) -> bool {
        let expected = self
            .entry(at)
            .and_then(|entry| expected_version(&entry.record, &self.head));
        expected.is_some_and(|expected| expected.trim() == version.trim())
    }
}
