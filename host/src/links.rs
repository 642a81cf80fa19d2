//! Every address that a person needs to bring devices to this instance, as far as the
//! configuration tells. What it does not tell is not guessed: [`Missing`] names the setting.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use serde::Serialize;

use crate::Acs;
use crate::config::{ANY_HOST, Config, XMPP_PORT, XmppMode};
use crate::instance::Instance;

/// The addresses of the instance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Links {
    /// The ACS URLs, plain HTTP.
    pub cwmp: Vec<String>,
    /// The ACS URLs, over TLS.
    pub cwmp_tls: Vec<String>,
    /// The northbound interface; `None`: it is off, or its address is not known.
    pub api: Option<String>,
    /// Where devices fetch and send files.
    pub files: Option<String>,
    /// The STUN server, `host:port` (UDP).
    pub stun: Option<String>,
    /// The XMPP server of the devices.
    pub xmpp: Option<XmppLink>,
    /// The addresses that connection requests leave from, for firewalls near the devices; none:
    /// the system chooses, and they are not known.
    #[schema(value_type = Vec<String>)]
    pub connection_requests_from: Vec<IpAddr>,
    /// The proxy that they go through.
    pub http_proxy: Option<String>,
    /// What is not known.
    pub missing: Vec<Missing>,
}

/// Where devices keep their XMPP streams.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct XmppLink {
    /// Of their accounts.
    pub domain: String,
    /// `host:port`, or the SRV record that they look for; `None`: it is not known.
    pub server: Option<String>,
}

/// An address that the configuration does not tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Missing {
    /// Which of the links.
    #[schema(value_type = String)]
    pub link: &'static str,
    /// The setting that tells it.
    #[schema(value_type = String)]
    pub setting: &'static str,
    /// Why it is not known.
    pub why: String,
}

impl Links {
    /// Reads them out of the configuration, in which `[instance]` is that of the instance.
    /// `path`: [`crate::instance::Instance::path`].
    pub fn of(config: &Config, path: &str) -> Links {
        let mut links = Links::default();
        links.find_acs(config, path);
        links.find_api(config);
        links.find_files(config);
        links.find_stun(config);
        links.find_xmpp(config);
        let instance = &config.instance;
        links.connection_requests_from = instance.connection_request_from.clone();
        if links.connection_requests_from.is_empty() {
            let why = "the system chooses where connection requests come from".to_owned();
            let setting = "instance.connection_request_from";
            links.miss("connection_requests_from", setting, why);
        }
        let proxy = instance.http_proxy.as_ref();
        links.http_proxy = proxy.map(|proxy| proxy.address.to_string());
        links
    }

    /// The URL that devices are given: that of the setting, else the first without TLS, else
    /// the first with it.
    pub fn acs_url(&self) -> Option<&str> {
        let first = self.cwmp.first().or(self.cwmp_tls.first());
        first.map(String::as_str)
    }

    /// Why a link is not known.
    pub fn why_missing(&self, link: &str) -> Option<&Missing> {
        self.missing.iter().find(|missing| missing.link == link)
    }

    fn miss(&mut self, link: &'static str, setting: &'static str, why: String) {
        self.missing.push(Missing { link, setting, why });
    }

    fn find_acs(&mut self, config: &Config, path: &str) {
        let instance = &config.instance;
        let hosts = instance.hosts.iter().filter(|host| *host != ANY_HOST);
        let hosts: Vec<String> = hosts.map(|host| bracketed(host)).collect();
        let told = config.instance.acs_url.as_deref();
        let told_tls = told.filter(|url| url.starts_with("https://"));
        let told = told.filter(|url| url.starts_with("http://"));
        let listen = &config.cwmp.listen;
        self.cwmp = match told {
            Some(url) => vec![url.to_owned()],
            None => urls("http", &hosts, listen, path),
        };
        self.cwmp.extend(urls("http", &[], &instance.listen, ""));
        let listen_tls = &config.cwmp.tls.listen;
        self.cwmp_tls = match told_tls {
            Some(url) => vec![url.to_owned()],
            None => urls("https", &hosts, listen_tls, path),
        };
        let own = urls("https", &[], &instance.listen_tls, "");
        self.cwmp_tls.extend(own);
        // Whoever names an ACS URL over TLS has answered what devices are given.
        if self.cwmp.is_empty() && told_tls.is_none() {
            let why = wildcard("cwmp.listen", listen);
            self.miss("cwmp", "instance.acs_url", why);
        }
        if self.cwmp_tls.is_empty() && !listen_tls.is_empty() {
            let why = wildcard("cwmp.tls.listen", listen_tls);
            self.miss("cwmp_tls", "cwmp.tls.listen", why);
        }
    }

    fn find_api(&mut self, config: &Config) {
        if let Some(url) = &config.api.url {
            self.api = Some(format!("{}/", url.trim_end_matches('/')));
            return;
        }
        let listen = [config.api.listen];
        self.api = urls("http", &[], &listen, "").into_iter().next();
        if self.api.is_none() {
            self.miss("api", "api.url", wildcard("api.listen", &listen));
        }
    }

    /// As devices are told: the setting, else the host of their ACS URL.
    fn find_files(&mut self, config: &Config) {
        let base = match (&config.instance.file_base_url, config.files.listen) {
            (Some(url), _) => Some(url.trim_end_matches('/').to_owned()),
            (None, Some(listen)) => {
                let host = self.acs_url().and_then(host);
                host.map(|host| format!("http://{host}:{}", listen.port()))
            }
            (None, None) => self.acs_url().and_then(base).map(str::to_owned),
        };
        self.files = base.map(|base| format!("{base}/files/"));
        if self.files.is_none() {
            let why = "it is that of the ACS URL, which is not known".to_owned();
            self.miss("files", "instance.file_base_url", why);
        }
    }

    /// As devices are told: the setting, else the host of their ACS URL.
    fn find_stun(&mut self, config: &Config) {
        let stun = &config.stun;
        let is_on = stun.enabled && config.instance.stun;
        let Some(listen) = stun.listen.first().filter(|_| is_on) else {
            return;
        };
        let host = match stun.host.as_str() {
            "" => self.acs_url().and_then(host).map(str::to_owned),
            host => Some(bracketed(host)),
        };
        self.stun = host.map(|host| format!("{host}:{}", listen.port()));
        if self.stun.is_none() {
            let why = "it is at the host of the ACS URL, which is not known".to_owned();
            self.miss("stun", "stun.host", why);
        }
    }

    /// As devices are told: the setting, else by the DNS, else the host of their ACS URL.
    fn find_xmpp(&mut self, config: &Config) {
        let xmpp = &config.xmpp;
        if xmpp.mode == XmppMode::Off || !config.instance.xmpp {
            return;
        }
        let mut listen = xmpp.listen.iter().chain(&xmpp.listen_tls);
        let port = match (xmpp.port, xmpp.mode) {
            (0, XmppMode::Embedded) => listen.next().map_or(XMPP_PORT, SocketAddr::port),
            (0, _) => XMPP_PORT,
            (port, _) => port,
        };
        let server = match (xmpp.host.as_str(), xmpp.domain.as_str()) {
            ("", "") => {
                let host = self.acs_url().and_then(host);
                host.map(|host| format!("{host}:{port}"))
            }
            ("", domain) => Some(format!("by the DNS: SRV _xmpp-client._tcp.{domain}")),
            (host, _) => Some(format!("{}:{port}", bracketed(host))),
        };
        if server.is_none() {
            let why = "it is at the host of the ACS URL, which is not known".to_owned();
            self.miss("xmpp", "xmpp.host", why);
        }
        self.xmpp = Some(XmppLink {
            domain: xmpp.domain().to_owned(),
            server,
        });
    }
}

impl Acs {
    /// The addresses of an instance as it is served: and the configuration that they are read
    /// out of, in which `[instance]` is that of the instance, and the ports are those that the
    /// system chose where it was left the choice.
    pub fn links(&self, instance: &Instance) -> (Config, Links) {
        let mut config = self.config.clone();
        config.instance = instance.settings.clone();
        if let Some(stun) = config.stun.listen.first_mut() {
            stun.set_port(self.stun.port());
        }
        if let Some(xmpp) = &self.xmpp {
            config.xmpp.port = xmpp.port();
        }
        let is_only = self.instances.all().len() == 1;
        let links = Links::of(&config, &instance.path(is_only));
        (config, links)
    }
}

/// `http://host:port` of a URL.
pub(crate) fn base(url: &str) -> Option<&str> {
    let start = url.find("://")? + 3;
    let end = url
        .get(start..)?
        .find('/')
        .map_or(url.len(), |at| start + at);
    url.get(..end)
}

/// `host:port` of a URL; the port of its scheme if it names none.
pub(crate) fn host_and_port(url: &str) -> Option<String> {
    let authority = base(url)?.split_once("://")?.1;
    let host = host(url)?;
    let port = match authority.get(host.len()..)?.strip_prefix(':') {
        Some(port) => port,
        None if url.starts_with("https:") => "443",
        None => "80",
    };
    Some(format!("{host}:{port}"))
}

/// The host of a URL; an IPv6 address in brackets.
pub(crate) fn host(url: &str) -> Option<&str> {
    let authority = base(url)?.split_once("://")?.1;
    let end = match authority.find(']') {
        Some(bracket) => bracket + 1,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    authority.get(..end)
}

fn bracketed(host: &str) -> String {
    match host.parse() {
        Ok(std::net::IpAddr::V6(v6)) => format!("[{v6}]"),
        _ => host.to_owned(),
    }
}

/// One URL for each host name at each port; without host names, one for each address that is not
/// a wildcard. `path` without the slash at its beginning.
fn urls(scheme: &str, hosts: &[String], listen: &[SocketAddr], path: &str) -> Vec<String> {
    if hosts.is_empty() {
        let known = listen.iter().filter(|at| !at.ip().is_unspecified());
        return known.map(|at| format!("{scheme}://{at}/{path}")).collect();
    }
    let ports: BTreeSet<u16> = listen.iter().map(SocketAddr::port).collect();
    let urls = hosts
        .iter()
        .flat_map(|host| ports.iter().map(move |port| (host, port)));
    urls.map(|(host, port)| format!("{scheme}://{host}:{port}/{path}"))
        .collect()
}

fn wildcard(setting: &str, listen: &[SocketAddr]) -> String {
    let addresses: Vec<_> = listen.iter().map(ToString::to_string).collect();
    format!(
        "{setting} is {}, every address of this machine",
        addresses.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(toml: &str) -> Links {
        let config: Config = toml::from_str(toml).unwrap();
        Links::of(&config, "")
    }

    #[test]
    fn wildcards_are_not_guessed() {
        let found = links("");
        assert_eq!(
            (found.acs_url(), &found.stun, &found.files),
            (None, &None, &None)
        );
        assert_eq!(found.api.as_deref(), Some("http://127.0.0.1:7557/"));
        let settings: Vec<_> = found.missing.iter().map(|m| (m.link, m.setting)).collect();
        assert_eq!(
            settings,
            [
                ("cwmp", "instance.acs_url"),
                ("files", "instance.file_base_url"),
                ("stun", "stun.host"),
                ("xmpp", "xmpp.host"),
                (
                    "connection_requests_from",
                    "instance.connection_request_from"
                )
            ]
        );
        assert_eq!(
            found.missing[0].why,
            "cwmp.listen is [::]:7547, every address of this machine"
        );
    }

    #[test]
    fn one_setting_tells_what_follows_from_it() {
        let found = links("[instance]\nacs_url = 'http://acs.example.net:7547/'");
        assert_eq!(found.cwmp, ["http://acs.example.net:7547/"]);
        assert_eq!(
            found.files.as_deref(),
            Some("http://acs.example.net:7547/files/")
        );
        assert_eq!(found.stun.as_deref(), Some("acs.example.net:3478"));
        let xmpp = found.xmpp.unwrap();
        assert_eq!(xmpp.server.as_deref(), Some("acs.example.net:5222"));
        assert_eq!(found.missing.len(), 1, "whence connection requests come");
        let found = links(
            "[instance]\nacs_url = 'https://acs.example.net/'\n[files]\nlisten = '[::]:7549'\n[api]\nlisten = '[::]:7557'",
        );
        assert_eq!(found.acs_url(), Some("https://acs.example.net/"));
        assert_eq!(
            found.files.as_deref(),
            Some("http://acs.example.net:7549/files/")
        );
        assert_eq!((found.api, found.missing[0].setting), (None, "api.url"));
    }

    #[test]
    fn addresses_that_are_listened_on() {
        let found = links(
            "[cwmp]\nlisten = ['192.0.2.1:7547', '[2001:db8::1]:7547']\n\
             [cwmp.tls]\nlisten = ['[::]:7548']\n\
             [stun]\nhost = '2001:db8::2'\n\
             [xmpp]\nmode = 'embedded'\ndomain = 'acs.example'",
        );
        assert_eq!(
            found.cwmp,
            ["http://192.0.2.1:7547/", "http://[2001:db8::1]:7547/"]
        );
        assert_eq!(found.stun.as_deref(), Some("[2001:db8::2]:3478"));
        assert_eq!(
            found.why_missing("cwmp_tls").unwrap().setting,
            "cwmp.tls.listen"
        );
        let xmpp = found.xmpp.unwrap();
        let server = xmpp.server.as_deref();
        assert_eq!(
            server,
            Some("by the DNS: SRV _xmpp-client._tcp.acs.example")
        );
    }

    #[test]
    fn whence_connection_requests_come() {
        let found = links(
            "[instance]\nconnection_request_from = ['192.0.2.1', '2001:db8::1']\n\
             http_proxy = { address = '192.0.2.10:3128', username = 'a', password = 'secret' }",
        );
        let from: Vec<_> = found
            .connection_requests_from
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(from, ["192.0.2.1", "2001:db8::1"]);
        assert_eq!(found.http_proxy.as_deref(), Some("192.0.2.10:3128"));
    }

    #[test]
    fn parts_of_a_url() {
        let parts = |url| (host(url).unwrap(), host_and_port(url).unwrap());
        assert_eq!(parts("http://a:1/x"), ("a", "a:1".into()));
        assert_eq!(parts("https://a"), ("a", "a:443".into()));
        assert_eq!(parts("http://[::1]/"), ("[::1]", "[::1]:80".into()));
    }
}
