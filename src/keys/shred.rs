//! The end of a KEK: the keyring says first that it goes, then no worker has it any more, then it is destroyed, and then the
//! keyring says so.

use std::time::Duration;

use super::lifecycle::Refused;
use super::{Error, Keys, NotMoved, malformed};
use crate::hsm::{Epoch, Job, KekAct, KekReport, Reply};
use crate::id::UnixMillis;

/// Workers are replaced one after another; each start may take seconds.
const RENEWAL: Duration = Duration::from_secs(120);

impl Keys {
    /// What there is of an epoch's KEK in the token.
    ///
    /// # Errors
    /// The HSM's.
    pub async fn find_kek(&self, epoch: Epoch) -> Result<KekReport, Error> {
        self.kek(epoch, KekAct::Find).await
    }

    /// CKA_ID of an epoch's KEK, hex.
    ///
    /// # Errors
    /// [`NotMoved::Refused`]: there is no such epoch.
    pub async fn kek_id(&self, epoch: Epoch) -> Result<String, NotMoved> {
        let keyring = self.keyring().await?;
        let kek = keyring.kek(epoch).ok_or(Refused::Unknown(epoch))?;
        Ok(kek.id.clone())
    }

    /// Says in the keyring, durably, that an epoch's KEK is to be destroyed. From now on nothing opens that is sealed under it.
    ///
    /// # Errors
    /// [`NotMoved`]: nothing has changed.
    pub async fn begin_destroying(&self, epoch: Epoch) -> Result<(), NotMoved> {
        self.step(|life| life.destroy(epoch, UnixMillis::now())).await
    }

    /// Destroys all that there is of a KEK whose end has begun, once no worker has it in use any more. May be repeated.
    ///
    /// # Errors
    /// The HSM's; and where workers could not be replaced.
    pub async fn destroy_kek(&self, epoch: Epoch) -> Result<KekReport, NotMoved> {
        let keyset = self.keyring().await?.keyset().clone();
        let renewed = self.client.renew(keyset, RENEWAL).await;
        renewed.map_err(|error| NotMoved::Keys(error.into()))?;
        self.kek(epoch, KekAct::Destroy).await.map_err(NotMoved::Keys)
    }

    /// As [`Keys::destroy_kek`], by workers that have not had it since they were started.
    ///
    /// # Errors
    /// The HSM's.
    pub async fn destroy_again(&self, epoch: Epoch) -> Result<KekReport, Error> {
        self.kek(epoch, KekAct::Destroy).await
    }

    /// Says in the keyring that it is gone.
    ///
    /// # Errors
    /// [`NotMoved`]: nothing has changed.
    pub async fn end_destroying(&self, epoch: Epoch, at: UnixMillis) -> Result<(), NotMoved> {
        self.step(|life| life.destroyed(epoch, at)).await
    }

    /// Says in the keyring that an epoch is compromised; where it is the one in use the next one takes over, if one is
    /// prepared. Gives the epoch in use.
    ///
    /// # Errors
    /// [`NotMoved`]: nothing has changed.
    pub async fn compromise(&self, epoch: Epoch, reason: Option<String>) -> Result<Epoch, NotMoved> {
        self.step(|life| {
            life.compromise(epoch, reason, UnixMillis::now())?;
            Ok(life.in_use())
        })
        .await
    }

    /// Writes the keyring as these keys have it: certificates may have said more than its file.
    ///
    /// # Errors
    /// [`NotMoved`]: the file is as it was.
    pub async fn persist(&self) -> Result<(), NotMoved> {
        self.step(|_| Ok(())).await
    }

    async fn kek(&self, epoch: Epoch, act: KekAct) -> Result<KekReport, Error> {
        match self.call(Job::Kek { epoch, act }).await? {
            Reply::Kek(report) => Ok(report),
            _ => Err(malformed("not the answer to a question about a KEK")),
        }
    }
}
