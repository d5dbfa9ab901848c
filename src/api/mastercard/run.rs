//! Which module does which operation.

use super::call::{Answer, Call};
use super::operation::ApiOperation;
use super::refusal::Refusal;
use super::{gateway, search, tokens};
use crate::api::Services;

/// Does what is asked for.
pub(super) async fn run(services: &Services, call: Call) -> Result<Answer, Refusal> {
    match call.operation {
        ApiOperation::CheckGateway => Ok(gateway::check(call.version)),
        ApiOperation::DeleteToken => tokens::delete(services, &call).await,
        ApiOperation::RetrieveToken => tokens::retrieve(services, &call).await,
        ApiOperation::SearchTokens => search::search(services, &call).await,
        ApiOperation::Tokenize => tokens::save(services, &call).await,
        // not served
        ApiOperation::Authorize
        | ApiOperation::Capture
        | ApiOperation::CreateSession
        | ApiOperation::Pay
        | ApiOperation::Refund
        | ApiOperation::RetrieveOrder
        | ApiOperation::RetrieveSession
        | ApiOperation::RetrieveTransaction
        | ApiOperation::UpdateAuthorization
        | ApiOperation::UpdateSession
        | ApiOperation::Verify
        | ApiOperation::Void => Err(Refusal::unsupported("apiOperation")),
    }
}
