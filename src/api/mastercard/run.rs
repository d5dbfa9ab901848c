//! Which module does which operation.

use super::call::{Answer, Call};
use super::operation::ApiOperation;
use super::refusal::Refusal;
use super::{gateway, search, sessions, tokens, transactions};
use crate::api::Services;
use crate::payment::orders::Action;

/// Does what is asked for.
pub(super) async fn run(services: &Services, call: Call) -> Result<Answer, Refusal> {
    match call.operation {
        ApiOperation::Authorize => transactions::perform(services, call, Action::Authorize).await,
        ApiOperation::Capture => transactions::perform(services, call, Action::Capture).await,
        ApiOperation::CheckGateway => Ok(gateway::check(call.version)),
        ApiOperation::CreateSession => sessions::open(services, &call).await,
        ApiOperation::DeleteToken => tokens::delete(services, &call).await,
        ApiOperation::Pay => transactions::perform(services, call, Action::Pay).await,
        ApiOperation::Refund => transactions::perform(services, call, Action::Refund).await,
        ApiOperation::RetrieveOrder => transactions::retrieve_order(services, &call).await,
        ApiOperation::RetrieveSession => sessions::retrieve(services, &call).await,
        ApiOperation::RetrieveToken => tokens::retrieve(services, &call).await,
        ApiOperation::RetrieveTransaction => transactions::retrieve(services, &call).await,
        ApiOperation::SearchTokens => search::search(services, &call).await,
        ApiOperation::Tokenize => tokens::save(services, call).await,
        ApiOperation::UpdateAuthorization => transactions::perform(services, call, Action::UpdateAuthorization).await,
        ApiOperation::UpdateSession => sessions::update(services, &call).await,
        ApiOperation::Verify => transactions::perform(services, call, Action::Verify).await,
        ApiOperation::Void => transactions::perform(services, call, Action::Void).await,
    }
}
