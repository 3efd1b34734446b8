"""placeholder"""


async def cdr_of_partner(tx, partner_id, cdr_id):
    return None


async def page_of_cdrs(tx, partner_id, page):
    return [], "", False, 0
