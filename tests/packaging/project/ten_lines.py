from shop import app, bridge, buy

SECRET = "the secret that both teams have agreed on"


def test_bundle_opens_the_course(crossapp):
    shop = crossapp.app(app, bridge)
    school = crossapp.peer("ai-hero", secret=SECRET)
    shop.emit("purchase/created", {"purchaseId": buy("ada@example.com", "bundle")})
    crossapp.settle()
    assert school.entitlements[0].status == "pending"
