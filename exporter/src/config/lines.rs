//! Destinations that are files, or stdout.

use std::fs;
use std::path::{Path, PathBuf};

use super::args::ExportArgs;
use super::choice::Form;
use super::{Destination, Endpoint, Error, Lines};

/// How lines are written, and that nothing was asked for that they, or a receiver, cannot have.
pub(super) fn lines(args: &ExportArgs) -> Result<Lines, Error> {
    let is_receiver = matches!(args.endpoint, None | Some(Endpoint::Receiver(_)));
    if is_receiver && args.lines.format.is_some() {
        return Err(Error::Usage(
            "--format is of files and stdout: leave it out, or write --endpoint file:///path or stdout:",
        ));
    }
    let of_receivers =
        [args.ca_file.is_some(), args.client_cert.is_some(), args.bearer_token_file.is_some(), !args.header.is_empty()];
    if !is_receiver && of_receivers.contains(&true) {
        return Err(Error::Usage(
            "--ca-file, --client-cert, --bearer-token-file and --header are of receivers: leave them out, and their variables, \
             for a file or stdout",
        ));
    }
    Ok(Lines {
        form: args.lines.format.unwrap_or(Form::OtlpJson),
        rotate_size: args.lines.rotate_size,
        rotate_keep: args.lines.rotate_keep.get(),
    })
}

/// That no two write to the same file.
pub(super) fn check_all(destinations: &[Destination]) -> Result<(), Error> {
    let places: Vec<_> = destinations.iter().map(|destination| place(&destination.export.endpoint)).collect();
    for (at, destination) in destinations.iter().enumerate() {
        if let Some(other) = (0..at).find(|other| places[at].is_some() && places[*other] == places[at]) {
            let (first, second, place) = (&destinations[other].name, &destination.name, &destination.export.endpoint);
            let what = format!("{first} and {second} are both {place}: give each a file of its own");
            return Err(Error::Values { flag: "--endpoint", what });
        }
    }
    Ok(())
}

/// The file, whichever way leads to its folder. Nothing where it is no file.
fn place(endpoint: &Endpoint) -> Option<PathBuf> {
    match endpoint {
        Endpoint::Receiver(_) => None,
        // No path of a file.
        Endpoint::Stdout => Some(PathBuf::new()),
        Endpoint::File(path) => {
            let folder = path.parent().unwrap_or(Path::new("/"));
            // One that is not there is another error.
            let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
            path.file_name().map(|name| folder.join(name))
        }
    }
}
