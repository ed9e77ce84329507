"""What a page says: its images, captions, links, licences and opt-outs. Pure."""
