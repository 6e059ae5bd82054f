"""
The Inngest functions on links, one module for each. Both adapters need them, so an app has them once.

    account/linked       handle-account-linked      seller; a granter's claim-pending-entitlements does the same
    account/unlinked     handle-account-unlinked
    account/link-state   handle-link-state
    user/login           emit-oauth-login           the app's own event, which has its own name
    user/oauth-login     check-oauth-autolink
    each minute          reconcile-cross-app
"""
