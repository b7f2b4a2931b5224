//! `posthouse cert`: certificates to try TLS out with.
//!
//! The authority made here is trusted by nobody who is not told to, and its key lies beside its
//! certificate: it is for a developer's machine and for tests.
//!
//! # Invariants
//! - Nothing that exists is written over without `--force`.
//! - Every file can be read by its owner alone from the moment it exists.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jiff::{Timestamp, ToSpan, Zoned, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};

use super::say::say;
use crate::exit::{Code, Failure};

/// Who issues them. Fixed, so that the authority's key is all it takes to issue another one.
const AUTHORITY: &str = "Posthouse development authority";
const AUTHORITY_YEARS: i64 = 10;
/// LIMIT: what Apple's clients accept of a server's certificate.
const LEAF_DAYS: i64 = 825;

/// Make certificates to try TLS out with.
#[derive(Args, Debug)]
pub(crate) struct CertArgs {
    #[command(subcommand)]
    command: CertCommand,
}

#[derive(Debug, Subcommand)]
enum CertCommand {
    /// Make a local authority, a certificate for a node on this machine, and some for clients
    Dev(DevArgs),
}

/// Make a local authority, a certificate for a node on this machine, and some for clients.
///
/// Run again, it keeps the authority and the node's certificate, and adds clients. What it prints
/// starts a node with them and connects clients to it.
#[derive(Args, Debug)]
pub(crate) struct DevArgs {
    /// Where the files go
    #[arg(long, value_name = "DIR", default_value = "posthouse-certs")]
    dir: PathBuf,
    /// Another name or address that clients call the node by, beside localhost; may be repeated
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// Make a certificate for a client of this name, too; may be repeated
    #[arg(long = "client", value_name = "NAME")]
    clients: Vec<String>,
    /// Make everything anew, the authority included: what it issued before is then worth nothing
    #[arg(long)]
    force: bool,
}

/// Makes what was asked for.
pub(crate) fn run(args: CertArgs) -> Result<(), Failure> {
    let CertCommand::Dev(args) = args.command;
    let today = Timestamp::now().to_zoned(TimeZone::UTC);
    let made = make(&args, &today)?;
    for path in &made {
        say!("made {}", path.display());
    }
    say!("{}", super::cert_lines::lines(&args.dir, &args.clients));
    Ok(())
}

/// The files made.
fn make(args: &DevArgs, today: &Zoned) -> Result<Vec<PathBuf>, Failure> {
    let files = Files { directory: &args.dir, force: args.force };
    for name in &args.clients {
        check_client(name)?;
    }
    // Before anything is written, so that a refusal leaves everything as it was.
    let has_server = files.pair("server").0.exists();
    let wants_server = args.force || !has_server || !args.hosts.is_empty();
    if wants_server {
        files.check_free("server")?;
    }
    for name in &args.clients {
        files.check_free(&format!("client-{name}"))?;
    }
    let server = server(&args.hosts, today)?;
    files.create_directory()?;
    let mut made = Vec::new();
    let authority = authority(&files, today, &mut made)?;
    if wants_server {
        made.extend(files.issue("server", server, &authority)?);
    }
    for name in &args.clients {
        made.extend(files.issue(&format!("client-{name}"), client(name, today), &authority)?);
    }
    Ok(made)
}

/// The authority that is there, or a new one.
fn authority(
    files: &Files<'_>,
    today: &Zoned,
    made: &mut Vec<PathBuf>,
) -> Result<Issuer<'static, KeyPair>, Failure> {
    let parameters = authority_parameters(today);
    let (certificate, key) = files.pair("authority");
    if certificate.exists() && key.exists() && !files.force {
        let text =
            std::fs::read_to_string(&key).map_err(|error| file_failure("read", &key, &error))?;
        let pair = KeyPair::from_pem(&text).map_err(|error| {
            let message = format!("{} holds no key of an authority: {error}", key.display());
            Failure::new(Code::Failed, message).hint("--force makes a new authority")
        })?;
        return Ok(Issuer::new(parameters, pair));
    }
    files.check_free("authority")?;
    let pair = KeyPair::generate().map_err(|error| unissued(&error))?;
    let signed = parameters.self_signed(&pair).map_err(|error| unissued(&error))?;
    files.write(&key, &pair.serialize_pem())?;
    files.write(&certificate, &signed.pem())?;
    made.extend([certificate, key]);
    Ok(Issuer::new(parameters, pair))
}

fn authority_parameters(today: &Zoned) -> CertificateParams {
    let mut parameters = valid(CertificateParams::default(), today, AUTHORITY_YEARS * 365);
    parameters.distinguished_name = named(AUTHORITY);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters
}

fn server(hosts: &[String], today: &Zoned) -> Result<CertificateParams, Failure> {
    let mut parameters = leaf("localhost", today, ExtendedKeyUsagePurpose::ServerAuth);
    let own = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let localhost = SanType::DnsName("localhost".try_into().expect("it is ASCII"));
    parameters.subject_alt_names = vec![localhost];
    parameters.subject_alt_names.extend(own.map(SanType::IpAddress));
    for host in hosts {
        let name = match host.parse() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(host.as_str().try_into().map_err(|_| {
                Failure::new(Code::Usage, format!("--host {host:?} is no name of a host"))
                    .hint("names outside ASCII are written as IDNA does: xn--…")
            })?),
        };
        parameters.subject_alt_names.push(name);
    }
    Ok(parameters)
}

fn client(name: &str, today: &Zoned) -> CertificateParams {
    leaf(name, today, ExtendedKeyUsagePurpose::ClientAuth)
}

fn leaf(name: &str, today: &Zoned, purpose: ExtendedKeyUsagePurpose) -> CertificateParams {
    let mut parameters = valid(CertificateParams::default(), today, LEAF_DAYS);
    parameters.distinguished_name = named(name);
    parameters.use_authority_key_identifier_extension = true;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![purpose];
    parameters
}

/// From yesterday, for clocks that are behind.
fn valid(mut parameters: CertificateParams, today: &Zoned, days: i64) -> CertificateParams {
    let date = |days: i64| {
        let date = today.date().saturating_add(days.days());
        let part = |number: i8| u8::try_from(number).expect("months and days are positive");
        date_time_ymd(i32::from(date.year()), part(date.month()), part(date.day()))
    };
    parameters.not_before = date(-1);
    parameters.not_after = date(days);
    parameters
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// It becomes part of a file's name and of a principal's.
fn check_client(name: &str) -> Result<(), Failure> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !name.is_empty() && name.len() <= 64 && name.bytes().all(is_plain) {
        return Ok(());
    }
    let message = format!("--client {name:?} cannot be a file's name");
    Err(Failure::new(Code::Usage, message)
        .hint("write at most 64 letters, digits, '.', '_' and '-'"))
}

/// The directory that the files are in.
struct Files<'a> {
    directory: &'a Path,
    force: bool,
}

impl Files<'_> {
    /// The certificate and the key of that name.
    fn pair(&self, name: &str) -> (PathBuf, PathBuf) {
        (self.directory.join(format!("{name}.pem")), self.directory.join(format!("{name}.key")))
    }

    fn check_free(&self, name: &str) -> Result<(), Failure> {
        let (certificate, key) = self.pair(name);
        match [certificate, key].into_iter().find(|path| !self.force && path.exists()) {
            None => Ok(()),
            Some(path) => Err(Failure::new(Code::Named, format!("{} exists", path.display()))
                .hint("--force makes everything anew, --dir DIR puts it elsewhere")),
        }
    }

    fn create_directory(&self) -> Result<(), Failure> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(self.directory)
            .map_err(|error| file_failure("make", self.directory, &error))
    }

    fn issue(
        &self,
        name: &str,
        parameters: CertificateParams,
        authority: &Issuer<'static, KeyPair>,
    ) -> Result<[PathBuf; 2], Failure> {
        let pair = KeyPair::generate().map_err(|error| unissued(&error))?;
        let signed = parameters.signed_by(&pair, authority).map_err(|error| unissued(&error))?;
        let (certificate, key) = self.pair(name);
        self.write(&key, &pair.serialize_pem())?;
        self.write(&certificate, &signed.pem())?;
        Ok([certificate, key])
    }

    fn write(&self, path: &Path, text: &str) -> Result<(), Failure> {
        if self.force {
            // Made anew instead of written over, so that its mode is ours.
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(file_failure("replace", path, &error));
                }
                _ => {}
            }
        }
        std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| file_failure("write", path, &error))
    }
}

fn file_failure(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Code::Failed, format!("cannot {what} {}: {error}", path.display()))
}

fn unissued(error: &rcgen::Error) -> Failure {
    Failure::new(Code::Failed, format!("the certificate cannot be made: {error}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn args(directory: &Path, hosts: &[&str], clients: &[&str], force: bool) -> DevArgs {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let dir = directory.join("certs");
        DevArgs { dir, hosts: owned(hosts), clients: owned(clients), force }
    }

    fn today() -> Zoned {
        Timestamp::now().to_zoned(TimeZone::UTC)
    }

    #[test]
    fn files_are_for_their_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let made = make(&args(directory.path(), &["node.example"], &["ada"], false), &today());
        let made = made.unwrap();
        assert_eq!(made.len(), 6);
        for path in made {
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", path.display());
        }
    }

    #[test]
    fn nothing_is_written_over_unless_forced() {
        let directory = tempfile::tempdir().unwrap();
        let read = |name: &str| std::fs::read(directory.path().join("certs").join(name)).unwrap();
        make(&args(directory.path(), &[], &["ada"], false), &today()).unwrap();
        let (authority, server) = (read("authority.pem"), read("server.pem"));
        assert!(make(&args(directory.path(), &[], &["ada"], false), &today()).is_err());
        assert!(make(&args(directory.path(), &["x.example"], &[], false), &today()).is_err());
        make(&args(directory.path(), &[], &["grace"], false), &today()).unwrap();
        assert_eq!((read("authority.pem"), read("server.pem")), (authority.clone(), server));
        make(&args(directory.path(), &[], &[], true), &today()).unwrap();
        assert_ne!(read("authority.pem"), authority);
    }

    #[test]
    fn names_that_are_none_are_refused_before_anything_is_made() {
        let directory = tempfile::tempdir().unwrap();
        for client in ["", "../up", "a b"] {
            assert!(make(&args(directory.path(), &[], &[client], false), &today()).is_err());
        }
        assert!(make(&args(directory.path(), &["nö.example"], &[], false), &today()).is_err());
        assert!(!directory.path().join("certs").exists());
    }
}
