//! One attempt, by whichever protocol.

use std::sync::Arc;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsPartialSuccess;
use tonic::transport::{Channel, Endpoint};

use super::frame;
use super::grpc::{self, Failure, Head, Tenant};
use super::http::Http;
use super::lines::Lines;
use super::token::Token;
use super::{Error, channel};
use crate::config::choice::{Compression, Protocol};
use crate::config::{Endpoint as Where, Export};

/// The way to a receiver, or to a file or stdout. Clones share connections, and files.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    way: Way,
    token: Option<Arc<Token>>,
}

#[derive(Clone, Debug)]
enum Way {
    Grpc { channel: Channel, head: Head, endpoint: Option<Box<Endpoint>> },
    Http(Http),
    Lines(Lines),
}

impl Wire {
    /// Connects to nothing yet. Must be called inside a tokio runtime.
    pub(super) fn new(config: &Export) -> Result<Self, Error> {
        super::check_authorities(config)?;
        let way = match (&config.endpoint, config.protocol) {
            (Where::Receiver(uri), Protocol::Grpc) => {
                let endpoint = channel::endpoint(uri, config)?;
                Way::Grpc {
                    channel: endpoint.connect_lazy(),
                    head: Head::new(config),
                    endpoint: Some(Box::new(endpoint)),
                }
            }
            (Where::Receiver(uri), Protocol::HttpProtobuf) => Way::Http(Http::new(uri, config)?),
            (Where::File(path), _) => Way::Lines(Lines::to_file(path, config.lines)),
            (Where::Stdout, _) => Way::Lines(Lines::to_stdout(config.lines)?),
        };
        Ok(Self { way, token: token(config) })
    }

    /// The way by another configuration. A file of a token that stays keeps what was last right in it, and a file of lines
    /// is not opened twice.
    pub(super) fn renewed(&self, config: &Export) -> Result<Self, Error> {
        if matches!(&self.way, Way::Lines(lines) if lines.is_of(config)) {
            return Ok(self.clone());
        }
        let mut new = Self::new(config)?;
        if let (Some(token), Some(path)) = (&self.token, &config.token_file)
            && token.path() == path
        {
            new.token = Some(Arc::clone(token));
        }
        Ok(new)
    }

    /// Over a channel that was made elsewhere.
    pub(super) fn over(channel: &Channel, config: &Export) -> Self {
        let way = Way::Grpc { channel: channel.clone(), head: Head::new(config), endpoint: None };
        Self { way, token: token(config) }
    }

    /// Sends a body that is compressed by zstd, in the compression that the receiver takes. The caller sets the deadline.
    /// Returns what the receiver refused, and how many bytes were sent.
    pub(super) async fn export(
        &mut self,
        packed: &Bytes,
        compression: Compression,
        tenant: Option<Tenant>,
    ) -> (usize, Result<ExportLogsPartialSuccess, Failure>) {
        let token = match self.token.as_ref().map(|token| token.header()).transpose() {
            Ok(token) => token,
            Err(what) => return (0, Err(Failure::Token(what))),
        };
        let more = tenant.into_iter().chain(token);
        let (sent, result) = match &mut self.way {
            Way::Grpc { channel, head, .. } => {
                let Some(frame) = frame::frame(packed, compression) else { return (0, Err(Failure::Damaged)) };
                (frame.len(), grpc::export(channel, head, frame, compression, more).await)
            }
            Way::Http(http) => {
                let Some(body) = frame::body(packed, compression) else { return (0, Err(Failure::Damaged)) };
                (body.len(), http.export(body, compression, more).await)
            }
            Way::Lines(lines) => lines.export(packed).await,
        };
        if let (Some(token), Err(failure)) = (&self.token, &result)
            && failure.is_of_authentication()
        {
            token.refused();
        }
        (sent, result)
    }

    /// Whether there is a receiver: asked before anything is sent.
    pub(super) async fn find(&self) -> Result<(), String> {
        match &self.way {
            Way::Grpc { endpoint: Some(endpoint), .. } => {
                endpoint.connect().await.map(drop).map_err(|error| grpc::cause(&error))
            }
            Way::Grpc { endpoint: None, .. } => Ok(()),
            Way::Http(http) => http.find().await,
            Way::Lines(lines) => lines.find().await,
        }
    }
}

fn token(config: &Export) -> Option<Arc<Token>> {
    config.token_file.clone().map(|path| Arc::new(Token::new(path)))
}
